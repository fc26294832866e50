// What is typed into a [data-draft] is kept every two seconds and on leaving, until it is said.
const fields = () => document.querySelectorAll('textarea[data-draft]');
const kept = new WeakMap(), under = new WeakMap();
let said = new WeakSet();
const was = field => kept.get(field) ?? field.defaultValue;

const keep = async (field, leaving) => {
  const text = field.value, before = was(field), token = field.form?.elements.csrf_token?.value;
  if (text == before || said.has(field) || !token) return;
  const line = field.closest('.drafted')?.querySelector('.kept'), way = new AbortController();
  kept.set(field, text);
  under.set(field, way);
  let fine = false;
  try {
    const body = new URLSearchParams({text, quiet: 1, csrf_token: token}), {signal} = way;
    const keepalive = leaving && text.length < 15000; // browsers refuse more than 64 kB of it
    fine = (await fetch(field.dataset.draft, {method: 'POST', body, keepalive, signal})).ok;
  } catch {}
  if (!fine) kept.set(field, before); // and again in two seconds
  if (line) line.firstElementChild.textContent = fine ? text.trim() && line.dataset.kept : line.dataset.waits;
};
const all = leaving => fields().forEach(field => keep(field, leaving));

setInterval(all, 2000);
addEventListener('visibilitychange', () => document.hidden && all(true));
addEventListener('pagehide', () => all(true));
addEventListener('htmx:before:swap', () => all(true));
// what is said now is no draft any more; it is one again where that failed, or where one goes on
addEventListener('submit', e => fields().forEach(field => {
  if (field.form != e.target) return;
  said.add(field);
  under.get(field)?.abort();
}), true);
for (const name of ['htmx:error', 'htmx:response:error']) addEventListener(name, () => said = new WeakSet());
addEventListener('input', e => said.delete(e.target), true);
