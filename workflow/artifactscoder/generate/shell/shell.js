"use strict";
// The token stands behind the # of the address; it goes to this server alone, with the one request that needs it.
const token = location.hash.slice(1);
const part = (id) => document.getElementById(id);

function say(text, trouble = false) {
  part("status").textContent = text;
  part("status").classList.toggle("trouble", trouble);
}

// A model's page has no origin and no network; what it is given beyond its frame is nothing.
function frame(address) {
  const made = document.createElement("iframe");
  made.title = "The page that the model wrote";
  made.setAttribute("sandbox", "allow-scripts");
  made.referrerPolicy = "no-referrer";
  made.src = address;
  return made;
}

function show(made) {
  document.querySelector("main").hidden = false;
  part("frame").replaceChildren(...(made.page ? [frame(made.page)] : ["The answer holds no page."]));
  part("code").textContent = made.code;
  part("pictures").replaceChildren(...made.pictures.map((url, place) => {
    const picture = document.createElement("img");
    picture.src = url;
    picture.alt = `Picture ${place + 1}`;
    return picture;
  }));
  const errors = made.errors.length ? ` Script error: ${made.errors[0]}` : "";
  say(`${made.summary}. In ${made.folder}.${errors}`);
}

async function make(prompt) {
  const began = Date.now();
  part("go").disabled = true;
  const clock = setInterval(() => say(`The model writes: ${Math.round((Date.now() - began) / 1000)} s`), 500);
  try {
    const answer = await fetch("/generate", {
      method: "POST",
      headers: {Authorization: `Bearer ${token}`, "Content-Type": "application/json"},
      body: JSON.stringify({prompt}),
    });
    const text = await answer.text();
    clearInterval(clock);
    if (answer.ok) show(JSON.parse(text));
    else say(text.startsWith("{") ? JSON.parse(text).error : text, true);
  } catch (trouble) {
    clearInterval(clock);
    say(`The server does not answer (${trouble.message}); is it still running?`, true);
  } finally {
    part("go").disabled = false;
  }
}

part("form").addEventListener("submit", (event) => {
  event.preventDefault();
  make(part("prompt").value);
});
part("copy").addEventListener("click", () => navigator.clipboard.writeText(part("code").textContent));
