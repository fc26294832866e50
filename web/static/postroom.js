// Keys, places kept, waiting. Only shorter ways: the pages work without.
const $ = s => document.querySelector(s), all = s => [...document.querySelectorAll(s)];
const store = sessionStorage, active = () => document.activeElement, field = $('.find [type=search]');
const keys = JSON.parse(document.body.dataset.keys || '{}');
const focus = e => {
  if (!e) return;
  if (e.tabIndex < 0) e.tabIndex = -1;
  e.focus({preventScroll: true});
  e.scrollIntoView({block: 'nearest'});
};

// what only some pages need
const load = () => all('[data-module]').forEach(e => import(e.dataset.module));
load();

// keys
const row = () => active().closest('.row')?.querySelector('.hit') || $('.hit[aria-current]');
const step = (some, here, by) => focus(some[here ? some.indexOf(here) + by : 0]);
const mail = by => {
  step(all('.msg > summary'), active().closest('.msg')?.firstElementChild, by);
  if (active().matches('summary')) active().parentNode.open = true;
};
const does = {
  next: () => step(all('.hit'), row(), 1),
  previous: () => step(all('.hit'), row(), -1),
  'next-mail': () => mail(1),
  'previous-mail': () => mail(-1),
  search: () => field.select(),
  unread() {
    const here = active().closest('.row') || $('#talk');
    here?.querySelector(`[value=${here.matches('[data-unread]') ? '' : 'un'}read]`)?.click();
  },
};
let first = '';
addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey) {
    if (e.key == 'k' && !e.altKey && !e.defaultPrevented) {
      e.preventDefault();
      $('[data-palette]').click();
    }
    return;
  }
  const typing = e.target.closest('input, select, textarea');
  if (e.key == 'Escape') {
    if (typing) focus(row() || $('#main'));
    else if (!$(':popover-open')) $('[data-does=back]')?.click();
  }
  if (typing || e.key.length > 1) return;
  // a letter that is not Latin is known by its place
  const place = e.key > '~' && /^(?:Key|Digit)(.)/.exec(e.code)?.[1];
  const typed = place ? e.shiftKey ? place : place.toLowerCase() : e.key;
  const name = keys[first + typed];
  first = name == 'go' ? typed : '';
  setTimeout(() => first = '', 2000);
  if (!name) return;
  e.preventDefault();
  const there = $(`[data-does=${name}]`);
  there ? there.click() : does[name]?.();
});
addEventListener('click', async e => {
  const a = e.target.closest('[data-palette]');
  if (!a || e.button || e.ctrlKey || e.metaKey) return;
  e.preventDefault();
  (await import(a.dataset.palette)).open();
});

// scrolled and typed: kept for a reload and the way back
const panes = ['.rows', '.thread', '#main'], here = () => location.pathname + location.search;
const keep = () => store[here()] = panes.map(s => $(s)?.scrollTop || 0);
addEventListener('scroll', keep, true);
const again = performance.getEntriesByType('navigation')[0].type != 'navigate';
if (again) (store[here()] || '').split(',').forEach((y, i) => { if (+y) $(panes[i])?.scrollTo(0, y) });
field.value ||= store.typed || '';
field.oninput = () => store.typed = field.value;
field.form.addEventListener('submit', () => store.typed = '');
if (active() == document.body && !location.hash)
  focus($('#subject') || again && all('.hit').find(e => e.pathname == store.opened));

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
  late(c.failed && c);
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
