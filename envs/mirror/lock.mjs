// Writes package-lock.json anew (npm, then this): the packages that package.json names, and of what those need in turn
// only what goes into the ES modules that build.mjs makes. The other packages are taken for their finished builds, which
// need nothing: this saves 800 packages of 1,200. Run it here: node lock.mjs
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";

const wanted = JSON.parse(readFileSync("package.json", "utf8"));
rmSync("package-lock.json", { force: true });
const flags = ["--package-lock-only", "--ignore-scripts", "--legacy-peer-deps", "--omit-lockfile-registry-resolved"];
execFileSync("npm", ["install", ...flags], { stdio: "inherit" });

const lock = JSON.parse(readFileSync("package-lock.json", "utf8"));
const built = new Set([...Object.keys(wanted.mirror.modules), "esbuild", "cjs-module-lexer"]);
const shared = new Set(wanted.mirror.shared);
const kept = new Set([""]);

/** Where the package that `from` asks for by this name lies, as Node looks for it. */
function found(from, name) {
  for (let folder = from; ; folder = folder.replace(/(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/, "")) {
    const path = `${folder ? folder + "/" : ""}node_modules/${name}`;
    if (lock.packages[path]) return path;
    if (!folder) return null;
  }
}
function keep(path, deep) {
  if (!path || kept.has(path)) return;
  kept.add(path);
  const entry = lock.packages[path];
  delete entry.bin;
  for (const part of ["peerDependencies", "peerDependenciesMeta", "engines", "funding"]) delete entry[part];
  const needed = { ...entry.dependencies };
  if (!deep) ["dependencies", "optionalDependencies"].forEach((part) => delete entry[part]);
  else {
    for (const name of shared) if (entry.dependencies) delete entry.dependencies[name];
    for (const name of Object.keys(needed)) if (!shared.has(name)) keep(found(path, name), true);
    if (path === "node_modules/esbuild") Object.keys(entry.optionalDependencies).forEach((n) => keep(found(path, n), true));
    else delete entry.optionalDependencies;
  }
}
for (const name of Object.keys(wanted.dependencies)) if (built.has(name)) keep(`node_modules/${name}`, true);
for (const name of Object.keys(wanted.dependencies)) keep(`node_modules/${name}`, false);
for (const path of Object.keys(lock.packages)) if (!kept.has(path)) delete lock.packages[path];
writeFileSync("package-lock.json", JSON.stringify(lock, null, 1) + "\n");
