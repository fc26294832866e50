// Places kept, waiting, and keys beside it. Only shorter ways: the pages work without.
import {$, active, all, focus, row} from './keys.js';

const store = sessionStorage, field = $('.find [type=search]');

// what only some pages need
const load = () => all('[data-module]').forEach(e => import(e.dataset.module));
load();

// scrolled and typed: kept for a reload and the way back
const panes = ['.rows', '.thread', '#main'], here = () => location.pathname + location.search;
const keep = () => store[here()] = panes.map(s => $(s)?.scrollTop || 0);
addEventListener('scroll', keep, true);
const again = performance.getEntriesByType('navigation')[0].type != 'navigate';
if (again) (store[here()] || '').split(',').forEach((y, i) => { if (+y) $(panes[i])?.scrollTo(0, y) });
field.value ||= store.typed || '';
field.oninput = () => store.typed = field.value;
field.form.addEventListener('submit', () => store.typed = '');
const begin = e => active() == document.body && focus(e);
const target = document.getElementById(location.hash.slice(1));
// browsers put the focus nowhere once they have scrolled to it
if (target) addEventListener('load', () => setTimeout(begin, 0, target.querySelector('summary') || target));
else begin($('#subject') || again && all('.hit').find(e => e.pathname == store.opened));

// htmx
let busy = [];
const on = (names, f) => names.split(' ').forEach(n => addEventListener('htmx:' + n, e => f(e.detail.ctx, e)));
const late = c => {
  $('#slow').hidden = !c;
  if (c?.request.method == 'GET') $('#slow a').href = c.request.action;
};
const calm = c => {
  busy.forEach(clearTimeout);
  $('#main').ariaBusy = null;
  late(c.failed && !c.acted && c); // what was done with tickets says so itself
};
const mark = (c, back) => {
  const [, id, as] = /(\d+)\/(read|unread)$/.exec(c.request.action) || [];
  const li = $(`[data-id="${id}"]`);
  if (li?.contains(active())) focus(li.querySelector('.hit'));
  li?.toggleAttribute('data-unread', (as == 'unread') != !!back);
};
on('before:request', c => {
  calm(c);
  busy = [setTimeout(() => $('#main').ariaBusy = 'true', 300), setTimeout(late, 8000, c)];
  mark(c);
  c.news = c.sourceElement.closest('#wrote');
});
on('error response:error', c => { c.failed = 1; mark(c, 1) });
on('finally:request', calm);
on('before:swap', (c, e) => {
  if (c.failed || e.detail.tasks[0]?.fragment.childElementCount) return;
  e.preventDefault();
  location = c.response.raw.url; // signed out
});
on('after:swap', c => {
  const was = row();
  load();
  if (c.select == '#talk') {
    all('.hit').forEach(e => {
      e.ariaCurrent = e.pathname == location.pathname || null;
      if (e.ariaCurrent) e.closest('.row').removeAttribute('data-unread');
    });
    if ($('#subject')) store.opened = location.pathname;
    focus(c.news ? all('.msg > summary').pop() : $('#subject') || was || $('.hit'));
  } else focus($({'#rows': '.hit', '#main': '#main h1'}[c.select] || 'x'));
  if (active() == document.body) focus(row() || $('#subject') || $('#main'));
  keep();
});

window.ononline = window.onoffline = () => $('#offline').hidden = navigator.onLine;
