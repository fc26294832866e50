// Tickets: ticks and keys in lists, at once what the server will say, who else is there.
const $ = s => document.querySelector(s), all = s => [...document.querySelectorAll(s)];
const keys = JSON.parse(document.body.dataset.keys || '{}');
const here = () => document.activeElement.closest('.row');
let last, place, top = 0;

const tick = (row, range) => {
  const rows = all('.row'), from = range && rows.includes(last) ? rows.indexOf(last) : rows.indexOf(row);
  const [a, b] = [from, rows.indexOf(row)].sort((x, y) => x - y);
  const box = row.querySelector('[name=t]'), on = range || !box.checked;
  for (const one of rows.slice(a, b + 1)) one.querySelector('[name=t]').checked = on;
  last = row;
};
const act = {
  tick: row => tick(row), 'tick-range': row => tick(row, true),
  done: row => row.querySelector('[value^=toggle]').click(),
  take: row => row.querySelector('[value^=take]').click(),
  snooze: row => row.querySelector('[value^=snooze]').click(),
};
addEventListener('keydown', e => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.target.closest('input:not([type=checkbox]), select, textarea')) return;
  const name = keys[e.key], row = here();
  if (name == 'comment' || name == 'assign') {
    const field = $(name == 'comment' ? '.comment-form textarea' : '#ticket [name=assignee]');
    if (!field) return;
    if (!field.checkVisibility()) $('#ticket').showPopover();
    field.focus();
  } else if (row && act[name]) act[name](row);
  else return;
  e.preventDefault();
  e.stopImmediatePropagation();
}, true);

// what is done is gone from the list at once, and comes back where the server refuses
let gone;
addEventListener('htmx:before:request', e => {
  const c = e.detail.ctx;
  if (!c.request.action.endsWith('/tickets')) return;
  top = $('.rows')?.scrollTop || 0;
  const row = here(), rows = all('.row');
  place = row ? rows.indexOf(row) : rows.findIndex(one => one.querySelector('[aria-current]'));
  c.acted = 1;
  if (row) (gone = row).ariaBusy = 'true';
});
for (const name of ['htmx:error', 'htmx:response:error']) addEventListener(name, () => { if (gone) gone.ariaBusy = null });
addEventListener('htmx:after:swap', e => {
  const c = e.detail.ctx;
  if (!c.acted) return;
  $('.rows')?.scrollTo(0, top);
  const hits = all('.hit');
  const open = hits.findIndex(one => one.pathname == location.pathname);
  if (open >= 0) hits[open].ariaCurrent = 'true';
  setTimeout(() => (hits[open >= 0 ? open + 1 : Math.min(place, hits.length - 1)] || hits.at(-1))?.focus());
});

// who else is there, and that somebody writes here
let typed = 0;
addEventListener('input', e => { if (e.target.closest('.comment-form')) typed = Date.now() });
const there = async () => {
  const talk = $('#talk[data-live]'), at = $('#there');
  if (talk && at && !document.hidden && navigator.onLine) try {
    const writing = Date.now() - typed < 8000 ? '&writing=1' : '';
    const said = await (await fetch(`/presence?${talk.dataset.live}${writing}`)).json();
    at.textContent = said.there;
    at.hidden = !said.there;
  } catch {}
};
setInterval(there, 2000);
there();
