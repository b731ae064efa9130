// From the packages that npm fetched to the mirror that pages are answered from: node build.mjs INTO, run beside
// node_modules. In: package.json (what is kept), package-lock.json, node_modules. Out, under INTO: npm/NAME@VERSION/...,
// esm/NAME@VERSION/....mjs, index.json (what there is, for render/mirror.py) and NOTICE.md (names, licences, sums).
// A package is copied as its finished build alone, of a file and its minified twin only the latter: 2,000 MB become
// about 150. No code of a package is run. Takes about 20 s.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import { init, parse } from "cjs-module-lexer";

const into = process.argv[2];
const { dependencies, mirror } = JSON.parse(readFileSync("package.json", "utf8"));
const lock = JSON.parse(readFileSync("package-lock.json", "utf8")).packages;

const FREE = ["MIT", "ISC", "0BSD", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "OFL-1.1", "UFL-1.0", "CC-BY-4.0"];
// p5 is a library under the LGPL: it is run as it is, and not passed on with this project.
FREE.push("LGPL-2.1", "CC0-1.0", "Unlicense");
const ASSET = /\.(m?js|css|json|woff2?|ttf|png|gif|svg|jpg|wasm)$/;
const NOT = /(^|\/)(package|bower|composer|component|tsconfig|karma\.conf|gulpfile|Gruntfile|webpack\.[^/]*|rollup\.[^/]*)\.(js|json|mjs)$|\.(test|spec|config)\.m?js$|\.min\.map$/;
const BUILDS = /^(dist|build|umd|css|js|fonts?|webfonts|images|img|min|themes)\/|^[^/]+$/;
const INSIDE = /(^|\/)(src|test|tests|docs?|demos?|cjs|types|node_modules|locales?|ssr|server)\//;
const SUBSETS = ["latin", "latin-ext"];

/** All files below a folder, as paths relative to it, in order. */
function below(folder, path = "") {
  return readdirSync(join(folder, path), { withFileTypes: true })
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .flatMap((one) => {
      const here = path ? `${path}/${one.name}` : one.name;
      if (one.isDirectory()) return one.name === "node_modules" ? [] : below(folder, here);
      return one.isFile() ? [here] : [];
    });
}
const minified = (path) => path.replace(/\.(m?js|css)$/, ".min.$1");

function licence(name, manifest) {
  const said = manifest.license ?? manifest.licenses?.[0];
  const text = typeof said === "string" ? said : said?.type;
  const free = (one) => FREE.includes(one.replace(/[()]/g, "").trim());
  const parts = String(text).split(/ OR /i);
  if (!parts.some((part) => part.split(/ AND /i).every(free))) {
    throw new Error(`${name} is under ${text}, which build.mjs does not know as free`);
  }
  return text;
}

/** The files that the CDNs give for a package's bare name. */
function entries(manifest, all) {
  const said = { jsdelivr: manifest.jsdelivr, unpkg: manifest.unpkg, browser: manifest.browser, main: manifest.main ?? "index.js" };
  const first = (...names) => {
    for (const name of names) {
      if (typeof said[name] !== "string") continue;
      const path = said[name].replace(/^\.?\//, "");
      const found = [path, `${path}.js`, `${path}/index.js`].find((one) => all.has(one));
      if (found) return found;
    }
    return null;
  };
  const style = typeof manifest.style === "string" ? manifest.style.replace(/^\.?\//, "") : null;
  const short = manifest.name.replace(/^.*\//, "").replace(/\.js$/, "");
  const usual = [style, `dist/${short}.min.js`, `dist/${short}-bundle.min.js`, `${short}.min.js`].find((one) => all.has(one));
  return { jsdelivr: first("jsdelivr", "browser", "main"), unpkg: first("unpkg", "main"), usual: usual ?? null };
}

function kept(manifest, all, entry) {
  const prefixes = mirror.keep[manifest.name];
  const chosen = [...all].filter((path) => {
    if (!ASSET.test(path) || NOT.test(path)) return false;
    if (path.endsWith(".json") && !path.endsWith("typeface.json")) return prefixes?.includes(path) ?? false;
    if (prefixes) return prefixes.some((prefix) => path.startsWith(prefix));
    return BUILDS.test(path) && !INSIDE.test(path);
  });
  // What a package names as its entry is asked for, wherever it lies.
  if (!prefixes) {
    const named = [entry.jsdelivr, entry.unpkg, entry.usual].filter((path) => path && ASSET.test(path));
    chosen.push(...named, ...named.map(minified).filter((path) => all.has(path)));
  }
  return [...new Set(chosen)].filter((path) => {
    if (minified(path) !== path && all.has(minified(path)) && chosen.includes(minified(path))) return false;
    // A browser takes the first form of a font that it knows, and each names woff2 first.
    return !/\.(woff|ttf|svg)$/.test(path) || !all.has(path.replace(/\.[a-z]+$/, ".woff2"));
  });
}

/** The faces of a package of @fontsource, as Google's style sheets describe them. */
function font(folder, manifest, all) {
  const about = JSON.parse(readFileSync(join(folder, "metadata.json"), "utf8"));
  const ranges = JSON.parse(readFileSync(join(folder, "unicode.json"), "utf8"));
  const faces = [];
  for (const path of all) {
    const name = path.slice(`files/${about.id}-`.length, -".woff2".length);
    const at = /^(.+)-(\d00|wght|full|standard)-(normal|italic)$/.exec(name);
    if (!path.startsWith("files/") || !path.endsWith(".woff2") || !at || !SUBSETS.includes(at[1])) continue;
    const whole = mirror.keep[manifest.name];
    if (whole ? !whole.includes(path) : at[2] === "full" || at[2] === "standard") continue;
    const axis = about.variable?.wght;
    const weight = /^\d/.test(at[2]) ? [+at[2], +at[2]] : [+axis.min, +axis.max];
    faces.push({ path, subset: at[1], weight, style: at[3], range: whole ? null : (ranges[at[1]] ?? null) });
  }
  if (!faces.length) throw new Error(`${manifest.name} has no face that the mirror knows how to serve`);
  return { family: about.family, faces };
}

const shared = new RegExp(`^(${mirror.shared.map((name) => name.replace(".", "\\.")).join("|")})(/.+)?$`);

/** The file of a CommonJS module's `require`, of a production build where there is one. */
function required(from, one) {
  const path = join(dirname(from), /\.c?js$/.test(one) ? one : `${one}.js`);
  const better = ["production", "production.min"].map((word) => path.replace("development", word));
  return better.find((file) => existsSync(file)) ?? path;
}
/** What a CommonJS file exports by name, found without running it. */
function names(path, seen = new Set()) {
  if (seen.has(path) || !/\.c?js$/.test(path)) return [];
  seen.add(path);
  const { exports, reexports } = parse(readFileSync(path, "utf8"));
  const further = reexports.filter((one) => one.startsWith("."));
  return [...exports, ...further.flatMap((one) => names(required(path, one), seen))];
}

/** One ES module of a package's entry, with all that it needs but the shared packages, which stay bare imports. */
async function bundle(alias, sub) {
  const spec = sub ? `${alias}/${sub}` : alias;
  const outside = {
    name: "shared",
    setup(builder) {
      builder.onResolve({ filter: shared }, ({ path, kind }) => {
        if (kind === "entry-point") return undefined;
        return kind === "require-call" ? { path, namespace: "required" } : { path, external: true };
      });
      builder.onLoad({ filter: /.*/, namespace: "required" }, ({ path }) => ({
        contents: `export * from "${path}";` + (/^react/.test(path) ? `export { default } from "${path}";` : ""),
      }));
    },
  };
  const options = {
    bundle: true, format: "esm", minify: true, write: false, metafile: true, platform: "browser", target: "es2022",
    legalComments: "none", charset: "utf8", logLevel: "error", plugins: [outside], absWorkingDir: process.cwd(),
    define: { "process.env.NODE_ENV": '"production"', "process.env": "{}", global: "globalThis" },
  };
  let made = await build({ ...options, entryPoints: [spec], outfile: "out.mjs" });
  const [entry] = Object.values(made.metafile.outputs).map((output) => output.entryPoint);
  let exported = Object.values(made.metafile.outputs)[0].exports;
  if (made.metafile.inputs[entry].format === "cjs") {
    const given = [...new Set(names(entry))].filter((name) => /^[A-Za-z_$][\w$]*$/.test(name) && name !== "default" && name !== "__esModule");
    const contents = `import all from ${JSON.stringify("./" + entry)}; export default all;` +
      given.map((name, i) => `const n${i} = all[${JSON.stringify(name)}]; export { n${i} as ${name} };`).join("");
    made = await build({ ...options, stdin: { contents, resolveDir: process.cwd() }, outfile: "out.mjs" });
    exported = ["default", ...given];
  }
  const imports = Object.values(made.metafile.outputs)[0].imports.filter((one) => one.external).map((one) => one.path);
  return { text: made.outputFiles[0].text, default: exported.includes("default"), imports: [...new Set(imports)] };
}

await init();
const index = { packages: {}, fonts: {} };
const notice = [];
for (const alias of Object.keys(dependencies)) {
  const folder = join("node_modules", alias);
  const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const { name, version } = manifest;
  const free = licence(name, manifest);
  const all = new Set(below(folder));
  const entry = entries(manifest, all);
  const isFont = name.startsWith("@fontsource");
  const paths = isFont ? [] : kept(manifest, all, entry);
  if (isFont) {
    const { family, faces } = font(folder, manifest, all);
    index.fonts[family] = { package: `${name}@${version}`, faces };
    paths.push(...faces.map((face) => face.path));
  }
  const modules = {};
  for (const sub of mirror.modules[alias] ?? []) {
    const { text, ...about } = await bundle(alias, sub);
    const path = `esm/${name}@${version}/${sub || "index"}.mjs`;
    mkdirSync(dirname(join(into, path)), { recursive: true });
    writeFileSync(join(into, path), text);
    modules[sub] = about;
  }
  for (const path of paths) {
    const target = join(into, "npm", `${name}@${version}`, path);
    mkdirSync(dirname(target), { recursive: true });
    copyFileSync(join(folder, path), target);
  }
  const needs = { ...manifest.dependencies, ...manifest.peerDependencies };
  (index.packages[name] ??= {})[version] = { entry, files: paths, modules, needs };
  notice.push(`| ${name} | ${version} | ${free} | ${lock[folder].integrity} |`);
}
writeFileSync(join(into, "index.json"), JSON.stringify(index));
const head = "# Packages of the mirror\nFetched from npm at set-up, with their licences as they declare them.\n\n";
writeFileSync(join(into, "NOTICE.md"), `${head}| package | version | licence | sum |\n|---|---|---|---|\n${notice.join("\n")}\n`);
