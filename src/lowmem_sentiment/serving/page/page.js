"use strict";
const at = (id) => document.getElementById(id);
const EXAMPLE = "I expected little, but the story is moving and the acting superb. Only the ending is weak.";
let model = null;

async function ask(address, content) {
  const options = content === undefined ? {} : {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(content)};
  const response = await fetch(address, options);
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error || response.statusText);
  return answer;
}

// Each word of the text that has an effect is marked; all text is set as text, never as HTML.
function mark(text, effects) {
  const strength = new Map(effects.map((each) => [each.word, each.effect]));
  const most = Math.max(...effects.map((each) => Math.abs(each.effect)), 1e-9);
  const parts = model.tokenizer === "characters" ? [...text] : text.split(/([\p{L}\p{N}\p{M}'’_]+)/u);
  return parts.map((part) => {
    const effect = strength.get(part.toLowerCase()) ?? strength.get(part.normalize("NFC").toLowerCase());
    const step = Math.round(4 * Math.abs(effect ?? 0) / most);
    if (!step) return document.createTextNode(part);
    const word = document.createElement("span");
    word.className = `${effect > 0 ? "for" : "against"} s${step}`;
    word.title = (effect > 0 ? "+" : "") + effect.toFixed(2);
    word.textContent = part;
    return word;
  });
}

function row(tag, ...texts) {
  const line = document.createElement("tr");
  line.append(...texts.map((text) => Object.assign(document.createElement(tag), {textContent: text})));
  return line;
}

function bar(label, probability) {
  const line = document.createElement("div");
  line.className = "bar";
  line.setAttribute("role", "listitem");
  const name = Object.assign(document.createElement("span"), {textContent: label, title: label});
  const measure = Object.assign(document.createElement("progress"), {max: 1, value: probability});
  measure.setAttribute("aria-label", label);
  const value = Object.assign(document.createElement("span"), {textContent: probability.toFixed(4)});
  line.append(name, measure, value);
  return line;
}

function show(text, found) {
  at("label").textContent = found.label ?? `no label: ${found.reason}`;
  at("probability").textContent = found.probability.toFixed(4);
  at("unknown").hidden = found.known;
  const sorted = Object.entries(found.probabilities).sort((a, b) => b[1] - a[1]).slice(0, 10);
  at("bars").replaceChildren(...sorted.map(([label, probability]) => bar(label, probability)));
  at("words").replaceChildren(...mark(text, found.effects));
  const strongest = [...found.effects].sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect)).slice(0, 12);
  at("effects").replaceChildren(...strongest.map((each) =>
    row("td", each.word, (each.effect > 0 ? "+" : "") + each.effect.toFixed(2))));
  at("result").hidden = false;
}

async function predict() {
  const text = at("text").value;
  at("error").hidden = true;
  try {
    if (!model) await load();
    const answer = await ask(`v1/models/${encodeURIComponent(model.name)}:explain`,
      {instances: [text], parameters: {words: 1000}});
    show(text, answer.explanations[0]);
  } catch (error) {
    at("result").hidden = true;
    at("error").textContent = error.message;
    at("error").hidden = false;
  }
}

async function load() {
  const name = (await ask("v1/models")).models[0];
  model = {...await ask(`v1/models/${encodeURIComponent(name)}/metadata`), name};
  at("name").textContent = document.title = name;
}

at("form").addEventListener("submit", (event) => { event.preventDefault(); predict(); });
at("text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); predict(); }
});
at("example").addEventListener("click", () => { at("text").value = EXAMPLE; predict(); });
// An address may carry a text, page#A%20moving%20film; a browser does not send that part to the server.
if (location.hash.length > 1) {
  at("text").value = decodeURIComponent(location.hash.slice(1));
  predict();
} else {
  load().catch(() => {});
}
