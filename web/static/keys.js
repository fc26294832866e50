// Keys: what each does here, whatever somebody made of them.
export const $ = s => document.querySelector(s), all = s => [...document.querySelectorAll(s)];
export const active = () => document.activeElement;
export const row = () => active().closest('.row')?.querySelector('.hit') || $('.hit[aria-current]');
export const focus = e => {
  if (!e) return;
  if (e.tabIndex < 0) e.tabIndex = -1;
  e.focus({preventScroll: true});
  e.scrollIntoView({block: 'nearest'});
};

const keys = JSON.parse(document.body.dataset.keys || '{}');
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
  search: () => $('.find [type=search]').select(),
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
    const form = e.key == 'Enter' && e.target.matches('textarea, input, select') && e.target.form;
    if (form?.method == 'post' && !e.altKey) form.requestSubmit(form.querySelector('.btn.main'));
    return;
  }
  const typing = e.target.closest('input:not([type=checkbox]), select, textarea');
  if (e.key == 'Escape') {
    if (typing) focus(row() || $('#main'));
    else if (!$(':popover-open')) $('[data-does=back]')?.click();
  }
  if (typing || e.key.length > 1 || e.key == ' ') return;
  // a letter that is not Latin is known by its place
  const place = e.key > '~' && /^(?:Key|Digit)(.)/.exec(e.code)?.[1];
  const typed = place ? e.shiftKey ? place : place.toLowerCase() : e.key;
  const name = keys[first + typed];
  first = name == 'go' ? typed : '';
  setTimeout(() => first = '', 2000);
  if (!name) return;
  e.preventDefault();
  // what a module makes of it goes first
  if (!dispatchEvent(new CustomEvent('does', {detail: name, cancelable: true}))) return;
  const there = $(`[data-does=${name}]`);
  there ? there.click() : does[name]?.();
});
addEventListener('click', async e => {
  const a = e.target.closest('[data-palette]');
  if (!a || e.button || e.ctrlKey || e.metaKey) return;
  e.preventDefault();
  (await import(a.dataset.palette)).open();
});
