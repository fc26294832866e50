// The search field: what narrows becomes chips, what is found stands below while one types. In the end it is one text.
import {picker} from './picker.js';

const form = document.querySelector('.find'), input = form.querySelector('[type=search]');
const box = document.querySelector('#suggestions'), whole = document.createElement('input');
const operator = `[-\u2212]?(?:${form.dataset.operators}):(?:"[^"]+"|[^\\s()"]+)`;
const finished = new RegExp(`(?<=^|\\s)${operator}(?=\\s)`, 'i'), any = new RegExp(`(?<=^|\\s)${operator}(?=\\s|$)`, 'i');
const chips = () => [...form.querySelectorAll('.typed')];
const within = () => form.querySelector('[name=in]:checked');

whole.type = 'hidden';
whole.name = 'q';
input.removeAttribute('name');
form.append(whole);
const say = () => whole.value = [...chips().map(e => e.firstChild.textContent), input.value.trim()].join(' ').trim();

const chip = text => {
  const e = document.createElement('span'), what = document.createElement('bdi'), x = document.createElement('button');
  e.className = 'chip typed';
  what.textContent = text;
  x.type = 'button';
  x.textContent = '×';
  x.ariaLabel = form.dataset.without.replace('{}', text);
  x.addEventListener('click', () => {
    e.remove();
    input.focus();
    again();
  });
  e.append(what, x);
  input.before(e);
};
const take = of => {
  // an open quote may still hold what looks like one; "a OR from:b" is no sum of parts
  for (let found; !/\bOR\b|[()]/.test(input.value) && (found = of.exec(input.value));) {
    if (input.value.slice(0, found.index).split('"').length % 2 == 0) break;
    chip(found[0]);
    input.value = (input.value.slice(0, found.index) + input.value.slice(found.index + found[0].length)).trimStart();
  }
  say();
};
const close = () => {
  if (box.matches(':popover-open')) box.hidePopover();
  input.ariaExpanded = false;
};
const show = some => {
  if (!some || document.activeElement != input) return close();
  const {bottom, left, right, width} = form.getBoundingClientRect(), wide = Math.min(Math.max(width, 560), innerWidth - 16);
  const rtl = getComputedStyle(form).direction == 'rtl', start = rtl ? innerWidth - right : left;
  box.style.insetBlockStart = `${bottom + 4}px`;
  box.style.insetInlineStart = `${Math.max(8, Math.min(start, innerWidth - wide - 8))}px`;
  box.style.inlineSize = `${wide}px`;
  if (!box.matches(':popover-open')) box.showPopover();
  input.ariaExpanded = true;
};
const address = () => {
  say();
  const asked = new URLSearchParams({q: whole.value});
  if (within()) asked.set('in', within().value);
  return whole.value && `${box.dataset.source}?${asked}`;
};

input.role = 'combobox';
input.ariaExpanded = false;
input.ariaAutoComplete = 'list';
input.setAttribute('aria-controls', box.id);
input.addEventListener('input', () => take(finished));
const {look: again, pick} = picker(input, box, {ask: address, shown: show});
input.addEventListener('keydown', e => {
  const last = chips().pop();
  if (e.key == 'Backspace' && last && !input.value) {
    e.preventDefault();
    input.value = last.firstChild.textContent;
    last.remove();
    say();
  }
  if (e.key == 'Escape' && input.ariaExpanded == 'true') {
    e.preventDefault(); // browsers empty the field
    e.stopPropagation();
    pick(null);
    close();
  }
}, true);
input.addEventListener('focus', () => take(any), {once: true}); // not before: what moves by itself disturbs
input.addEventListener('focus', () => input.value.trim() && again());
input.addEventListener('blur', () => setTimeout(close, 200));
form.addEventListener('submit', () => {
  take(any);
  close();
}, true);
say();
