// Rules: their order by dragging and by Alt with an arrow; other fields where another kind is chosen.
const $ = s => document.querySelector(s), on = (n, f) => document.addEventListener(n, f);
let dragged, was;
on('dragstart', e => { dragged = e.target.closest?.('.order li') });
on('dragover', e => {
  const over = e.target.closest?.('.order li');
  if (!dragged || !over || over == dragged) return;
  e.preventDefault();
  const {top, height} = over.getBoundingClientRect();
  over[e.clientY < top + height / 2 ? 'before' : 'after'](dragged);
});
on('drop', e => { if (dragged) e.preventDefault() });
on('dragend', () => {
  const form = dragged?.closest('form');
  if (form) {
    form.elements.order.value = [...form.querySelectorAll('li')].map(li => li.dataset.id);
    form.requestSubmit();
  }
  dragged = null;
});
on('keydown', e => {
  const li = e.altKey && /^Arrow(Up|Down)$/.test(e.key) && e.target.closest?.('.order li');
  if (!li) return;
  e.preventDefault();
  was = e.target.id;
  li.querySelector(`[value$=${e.key == 'ArrowUp' ? 'up' : 'down'}]`).click();
});
on('change', e => {
  if (!e.target.matches('#rule [data-again]')) return;
  was = e.target.id;
  $('#again').click();
});
on('htmx:after:swap', () => setTimeout(() => {
  const next = document.getElementById(was) || $('#main [autofocus]');
  was = '';
  next?.focus();
}));
requestAnimationFrame(() => $('#main [autofocus]')?.focus());  // after what the browser does itself on a whole load
