// Replaces the sections that changed and keeps the reader where he was: open
// details stay open, focus and scroll position stay, and only the headline is
// spoken.
"use strict";

const sections = ["headline", "steps", "plot", "candidates", "fleet", "kernel", "facts"];
const live = document.getElementById("live");
let spoken = "";

function replace(name, html) {
  const element = document.getElementById(name);
  const open = [...element.querySelectorAll("details[open]")].map((d) => d.id);
  const scrolled = [...element.querySelectorAll(".scroll")].map((s) => [s.scrollTop, s.scrollLeft]);
  const focused = document.activeElement;
  const path = element.contains(focused) && focused !== element ? place(element, focused) : null;
  element.innerHTML = html;
  for (const id of open) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }
  element.querySelectorAll(".scroll").forEach((s, i) => {
    if (scrolled[i]) [s.scrollTop, s.scrollLeft] = scrolled[i];
  });
  if (path) {
    const again = follow(element, path);
    if (again) again.focus({ preventScroll: true });
  }
}

// The way from a section down to an element, as child numbers.
function place(root, element) {
  const path = [];
  for (let at = element; at !== root; at = at.parentElement) {
    path.unshift([...at.parentElement.children].indexOf(at));
  }
  return path;
}

function follow(root, path) {
  let at = root;
  for (const number of path) at = at && at.children[number];
  return at;
}

function speak() {
  const title = document.querySelector("#headline h1").textContent;
  document.title = title + " - lab";
  if (title !== spoken) live.textContent = spoken = title;
}

const stream = new EventSource("/events");
for (const name of sections) {
  stream.addEventListener(name, (event) => {
    replace(name, event.data);
    if (name === "headline") speak();
  });
}
stream.onopen = () => document.body.classList.remove("stale");
stream.onerror = () => {
  document.body.classList.add("stale");
  live.textContent = "The lab does not answer; what is shown may be old.";
};
