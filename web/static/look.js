// Lists of another density at once: the server is only told.
addEventListener('submit', e => {
  const button = e.submitter;
  if (button?.name != 'density') return;
  e.preventDefault();
  const now = button.value, html = document.documentElement, body = new URLSearchParams(new FormData(e.target));
  body.set('density', now);
  body.set('quiet', 1);
  now ? html.dataset.density = now : delete html.dataset.density;
  button.value = now ? '' : 'dense';
  fetch(e.target.action, {method: 'POST', body});
});
