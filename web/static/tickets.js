// Tickets: ticks and keys in lists, at once what the server will say, and what it refuses.
import {$, active, all} from './keys.js';
import {put, refuse} from './refused.js';

const here = () => active().closest('.row[data-ticket]'); // what was found by a search has other rows
const ticked = () => all('.row:has([name=t]:checked)');
let last, then;

// keys
const tick = (row, range) => {
  const rows = all('.row'), from = range && rows.includes(last) ? rows.indexOf(last) : rows.indexOf(row);
  const [a, b] = [from, rows.indexOf(row)].sort((x, y) => x - y);
  const box = row.querySelector('[name=t]'), on = range || !box.checked;
  for (const one of rows.slice(a, b + 1)) one.querySelector('[name=t]').checked = on;
  last = row;
};
const go = name => {
  const field = {comment: '.comment-form textarea', assign: '#ticket [name=assignee]'}[name];
  const e = $(field || `[data-does=${name}]`);
  if (!field) return e?.click();
  if (e && !e.checkVisibility()) $('#ticket').showPopover();
  e?.focus();
};
const deeds = {done: 'toggle', take: 'take', snooze: 'snooze'};
const opens = ['comment', 'assign', 'hand-over', 'file', 'reply', 'reply-all', 'forward'];
addEventListener('does', e => {
  const name = e.detail, row = here(), some = ticked().length && (row || !$('article.talk'));
  if (row && /^tick/.test(name)) tick(row, name == 'tick-range');
  else if (some && deeds[name]) $(`.batch [value=${deeds[name]}]`).click();
  else if (some && name == 'assign') {
    $('[popovertarget=assign-to]')?.click();
    $('#assign-to button')?.focus();
  }
  else if (row && deeds[name]) row.querySelector(`[value^=${deeds[name]}]`).click();
  else if (row && opens.includes(name) && !row.querySelector('[aria-current]')) {
    then = name;
    row.querySelector('.hit').click();
  } else if (name == 'comment' || name == 'assign') go(name);
  else return;
  e.preventDefault();
});

// what is done shows at once, and is as it was where the server refuses
const shown = (e, button) => {
  const was = [...e.childNodes], mark = button.querySelector('svg')?.cloneNode(true) || button.textContent;
  const words = document.createElement('span');
  words.className = 'vh';
  words.textContent = button.title || button.textContent.trim();
  e.replaceChildren(mark, words);
  return () => e.replaceChildren(...was);
};
addEventListener('htmx:before:request', e => {
  const c = e.detail.ctx, button = c.request.submitter;
  if (!c.request.action.endsWith('/tickets')) return;
  const row = button?.closest('.row'), rows = row ? [row] : button?.closest('.batch') ? ticked() : [];
  const below = !!button?.closest('#acts');
  const now = here() || rows[0] || $('.row:has([aria-current])');
  c.acted = {
    id: rows[0]?.dataset.ticket || c.request.form.querySelector('[name=t]')?.value, below,
    top: $('.rows')?.scrollTop || 0, place: all('.row').indexOf(now),
    back: rows.map(one => shown(one.querySelector('.marks > :last-child'), button)),
    busy: below ? [$('#acts')] : rows, stays: below && button.value != 'toggle',
  };
  c.acted.busy.forEach(one => one.ariaBusy = 'true');
});
const failed = say => e => {
  const c = e.detail.ctx;
  if (!c?.acted || c.acted.said) return;
  c.acted.said = 1;
  c.acted.back.forEach(f => f());
  c.acted.busy.forEach(one => one.ariaBusy = null);
  refuse(c.acted, $('#refused').dataset[say(c.response?.status)]);
};
addEventListener('htmx:response:error', failed(status => [403, 404].includes(status) ? 'lost' : 'wrong'));
addEventListener('htmx:error', failed(() => 'away'));
addEventListener('htmx:after:swap', e => {
  const {acted, select} = e.detail.ctx, refused = $('[data-refused]');
  if (then && select == '#talk') setTimeout(go, 0, then);
  then = '';
  put();
  if (!acted) return;
  $('.rows')?.scrollTo(0, acted.top);
  if (refused) {
    refuse(acted, refused.textContent.trim());
    refused.remove();
  }
  const hits = all('.hit'), open = hits.findIndex(one => one.pathname == location.pathname);
  if (open >= 0) hits[open].ariaCurrent = 'true';
  const same = refused && $(`.row[data-ticket="${acted.id}"] .hit`);
  const next = same || hits[open >= 0 ? open + 1 : Math.min(acted.place, hits.length - 1)] || hits.at(-1);
  const there = acted.stays || acted.below && refused || !next?.checkVisibility() ? $('#acts .btn') : next;
  setTimeout(() => there?.focus());
});
