// The style of the API's page: one column on a phone, the list of operations beside the text where there is room.
export const docsStyle = `:root{--front:#1f2328;--back:#ffffff;--raised:#f6f8fa;--line:#d1d9e0;--quiet:#59636e;--link:#0550ae;--read:#116329;--write:#8a4600;--remove:#b31d28;--mark:#fff8c5;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--front:#e6edf3;--back:#0d1117;--raised:#151b23;--line:#3d444d;--quiet:#9198a1;--link:#79c0ff;--read:#56d364;--write:#e3b341;--remove:#ff7b72;--mark:#3b2f00}}
*{box-sizing:border-box}
html{scroll-padding-top:16px}
body{margin:0;background:var(--back);color:var(--front);font:16px/1.5 system-ui,sans-serif}
a{color:var(--link)}
code,pre{font:14px/1.5 ui-monospace,monospace}
code{overflow-wrap:anywhere}
header{padding:16px;border-bottom:1px solid var(--line)}
h1{margin:0;font-size:24px}
.version{color:var(--quiet);font-size:16px;font-weight:400}
header p{margin:4px 0 0;max-width:80ch}
nav{padding:0 16px;border-bottom:1px solid var(--line)}
nav h2{margin:16px 0 4px;font-size:16px}
nav h2 a{color:inherit;text-decoration:none}
nav ul{list-style:none;margin:0 0 16px;padding:0}
nav li a{display:block;padding:4px 0;color:inherit;text-decoration:none}
nav li a:hover,nav li a:focus-visible{text-decoration:underline}
main{padding:0 16px 48px;min-width:0}
main h2{margin:32px 0 8px;font-size:20px;text-transform:capitalize}
h3{margin:0;font-size:16px;font-weight:600}
h4{margin:12px 0 4px;font-size:14px;color:var(--quiet)}
article{margin:0 0 16px;padding:12px 16px;border:1px solid var(--line);border-radius:8px;background:var(--raised)}
article:target{background:var(--mark)}
article p{margin:4px 0;max-width:80ch}
.method{display:inline-block;min-width:4ch;font:700 13px/1.5 ui-monospace,monospace;color:var(--write)}
.method.get{color:var(--read)}
.method.delete{color:var(--remove)}
.anchor{text-decoration:none}
.type{color:var(--quiet);font:13px/1.5 ui-monospace,monospace;overflow-wrap:anywhere}
dl{margin:0}
dt{margin-top:6px}
dd{margin:0 0 0 16px;color:var(--quiet);overflow-wrap:anywhere}
pre{margin:4px 0;padding:8px;border:1px solid var(--line);border-radius:6px;background:var(--back);color:var(--front);white-space:pre-wrap;overflow-wrap:anywhere}
@media (min-width:960px){
.columns{display:grid;grid-template-columns:minmax(300px,400px) minmax(0,1fr)}
nav{border-bottom:0;border-right:1px solid var(--line);position:sticky;top:0;height:100vh;overflow-y:auto}
main{max-width:1000px}
}
`;
