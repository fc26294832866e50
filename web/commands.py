"""`postroom web`: the pages alone, without the gateway."""

import signal

import click

from archive.front import Front, pass_front


@click.command()
@click.option("--host", help="Address to listen on; as configured, or 127.0.0.1.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; as configured, or 8460. 0: any free one."
)
@pass_front
def web(front: Front, host: str | None, port: int | None) -> None:
    """Run the web pages alone, until SIGTERM or Ctrl-C.

    \b
    Example:
      postroom web --host 127.0.0.1 --port 8460
    """
    from .app import pages

    try:
        server = pages(front, host, port)
    except OSError as error:
        raise click.ClickException(f"The pages cannot listen there: {error.strerror or error}.") from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: server.close())
    at, bound = server.address
    click.echo(f"pages at http://{f'[{at}]' if ':' in at else at}:{bound}", err=True)
    server.run()
