// What is typed into a [data-draft] is kept every two seconds and on leaving, until it is said; of one that is [data-whole]
// with all else that stands in its form.
const fields = () => document.querySelectorAll('textarea[data-draft]');
const kept = new WeakMap(), under = new WeakMap();
let said = new WeakSet(), sent = 0;
const silent = ['csrf_token', 'template', 'back'], mute = ['file', 'submit', 'button'];
const typed = (field, first) => {
  const values = new URLSearchParams();
  for (const one of 'whole' in field.dataset ? field.form.elements : [field]) {
    if (!one.name || silent.includes(one.name) || mute.includes(one.type)) continue;
    if (one.type == 'checkbox') (first ? one.defaultChecked : one.checked) && values.append(one.name, one.value);
    else if (one.options) {
      const some = [...one.options];
      values.append(one.name, (some.find(each => first ? each.defaultSelected : each.selected) ?? some[0]).value);
    } else values.append(one.name, first ? one.defaultValue : one.value);
  }
  return values.toString();
};
const was = field => kept.get(field) ?? typed(field, true);
const written = field => {
  const first = JSON.parse(field.form.elements.began?.value || '{}'); // of an answer: what its form came with
  return [field, ...field.form.querySelectorAll('[data-too], [name=enclosed]:checked')]
    .some(one => one.value.trim() != (first[one.name] ?? '').trim());
};

const keep = async (field, leaving) => {
  const text = typed(field), before = was(field), token = field.form?.elements.csrf_token?.value;
  if (text == before || said.has(field) || !token) return;
  if (under.has(field) && !leaving) return; // one after the other: what was typed first is not written last
  under.get(field)?.abort();
  const line = field.closest('.drafted')?.querySelector('.kept'), way = new AbortController();
  kept.set(field, text);
  under.set(field, way);
  const patience = setTimeout(() => way.abort(), 20000);
  let fine = false;
  try {
    const body = new URLSearchParams(`${text}&${new URLSearchParams({quiet: 1, csrf_token: token})}`), {signal} = way;
    const keepalive = leaving && text.length < 60000; // browsers refuse more than 64 kB of it
    fine = (await fetch(field.dataset.draft, {method: 'POST', body, keepalive, signal})).ok;
  } catch {}
  clearTimeout(patience);
  if (under.get(field) != way) return; // the one on leaving took its place
  under.delete(field);
  if (!fine) kept.set(field, before); // and again in two seconds
  if (line) line.firstElementChild.textContent = fine ? (written(field) ? line.dataset.kept : '') : line.dataset.waits;
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
  sent = performance.now();
  under.get(field)?.abort();
}), true);
for (const name of ['htmx:error', 'htmx:response:error']) addEventListener(name, () => said = new WeakSet());
// Whoever types while the answer is awaited does not make a draft of what is being sent.
const typing = e => fields().forEach(field => field.form == e.target.form && performance.now() - sent > 15000 && said.delete(field));
addEventListener('input', typing, true);
addEventListener('pageshow', e => e.persisted && (said = new WeakSet()));
