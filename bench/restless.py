"""Pages that a careless renderer shows differently each time: what moves, draws lots, reads clocks or waits.

Out: `PAGES`, a name and a page each, at most a few lines long. Each name says which part of a browser it puts to work.
"""

from __future__ import annotations

OUT = "<pre id=out>nothing</pre>"
BOX = "<div id=box style='width:80px;height:80px;background:crimson'></div>"
SQUARE = (
    "data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='90' height='90'>"
    "<rect width='90' height='90' fill='teal'/></svg>"
)

_BODIES = {
    "animation-endless": "<style>@keyframes m{to{transform:translateX(400px) rotate(200deg)}}"
    "#box{animation:m 1.7s infinite alternate}</style>" + BOX,
    "animation-steps": "<style>@keyframes m{to{left:400px}}#box{position:relative;animation:m 2.3s steps(7) infinite}"
    "</style>" + BOX,
    "animation-colour": "<style>@keyframes m{to{background:gold;filter:blur(4px)}}#box{animation:m 0.9s infinite}</style>"
    + BOX,
    "animation-property": "<style>@property --a{syntax:'<angle>';inherits:false;initial-value:0deg}"
    "@keyframes m{to{--a:360deg}}#box{animation:m 4s linear infinite;background:conic-gradient(from var(--a),red,blue)}"
    "</style>" + BOX,
    "animation-script": BOX + "<script>box.animate([{marginLeft:0},{marginLeft:'300px'}],{duration:1300,"
    "iterations:Infinity})</script>",
    "animation-chain": BOX + OUT + "<script>box.animate([{opacity:0},{opacity:1}],700).finished.then(a => {"
    "out.textContent=[a.currentTime,document.timeline.currentTime]; box.style.background='navy'})</script>",
    "animation-scroll": "<style>@keyframes m{to{width:600px}}#box{animation:m linear;animation-timeline:scroll()}"
    "body{height:3000px}</style>" + BOX + "<script>setTimeout(()=>scrollTo(0,500),400)</script>",
    "transition-start": "<style>#box{transition:all 5s}</style>"
    + BOX
    + "<script>onload=()=>{box.style.width='700px';box.style.background='navy'}</script>",
    "transition-hover-like": "<style>#box{transition:transform 2s .5s}.on{transform:translate(300px,100px)}</style>"
    + BOX
    + "<script>setTimeout(()=>box.classList.add('on'),333)</script>",
    "transition-end-chain": "<style>#box{transition:width .31s}</style>" + BOX + "<script>let n=0;"
    "const go=()=>{box.style.width=(++n%2?300:80)+'px'};box.ontransitionend=go;setTimeout(go,50)</script>",
    "starting-style": "<style>#box{transition:opacity 4s;opacity:1;@starting-style{opacity:0}}</style>" + BOX,
    "view-transition": BOX + "<script>setTimeout(()=>document.startViewTransition(()=>{box.style.marginLeft='300px'})"
    ",1000)</script>",
    "hover-corner": "<style>body{margin:0}#box{transition:all 4s}#box:hover{background:navy;width:600px}</style>" + BOX,
    "svg-smil": "<svg width=600 height=200><circle cy=80 r=40 fill=teal><animate attributeName=cx from=40 to=500 dur=7s "
    "repeatCount=indefinite /></circle></svg>",
    "svg-filter": "<svg width=600 height=300><filter id=f><feTurbulence baseFrequency=.03 seed=4 /></filter>"
    "<rect width=600 height=300 filter=url(#f) /></svg>",
    "svg-stroke": "<style>@keyframes d{to{stroke-dashoffset:0}}path{stroke-dasharray:900;stroke-dashoffset:900;"
    "animation:d 8s linear}</style><svg width=600 height=300><path d='M10 10 C 300 400 300 -200 590 290' fill=none "
    "stroke=navy stroke-width=9 /></svg>",
    "marquee": "<marquee scrollamount=9><h1>News of the day</h1></marquee>",
    "canvas-particles": "<canvas id=c width=700 height=400></canvas><script>const d=c.getContext('2d'),p=[];"
    "for(let i=0;i<200;i++)p.push({x:Math.random()*700,y:Math.random()*400,a:Math.random()-.5,b:Math.random()-.5});"
    "(function f(){d.clearRect(0,0,700,400);for(const q of p){q.x+=q.a;q.y+=q.b;d.fillRect(q.x,q.y,3,3)}"
    "requestAnimationFrame(f)})()</script>",
    "canvas-time": "<canvas id=c width=700 height=400></canvas><script>const d=c.getContext('2d');(function f(t){"
    "d.clearRect(0,0,700,400);d.beginPath();d.arc(350+200*Math.cos(t/500),200+150*Math.sin(t/500),40,0,7);d.fill();"
    "requestAnimationFrame(f)})(0)</script>",
    "canvas-delta": "<canvas id=c width=700 height=200></canvas><script>const d=c.getContext('2d');let x=0,v=90,"
    "l=performance.now();(function f(n){const e=(performance.now()-l)/1e3;l=performance.now();x+=v*e;if(x>600||x<0)v=-v;"
    "d.clearRect(0,0,700,200);d.fillRect(x,50,90,90);requestAnimationFrame(f)})()</script>",
    "canvas-trail": "<canvas id=c width=700 height=400></canvas><script>const d=c.getContext('2d');setInterval(()=>{"
    "d.fillStyle='rgba(0,0,0,.05)';d.fillRect(0,0,700,400);d.fillStyle='hsl('+Math.random()*360+',80%,50%)';"
    "d.fillRect(Math.random()*700,Math.random()*400,20,20)},16)</script>",
    "canvas-text": "<canvas id=c width=700 height=300></canvas><script>const d=c.getContext('2d');"
    "d.font='700 48px Georgia, serif';const g=d.createLinearGradient(0,0,600,0);g.addColorStop(0,'red');"
    "g.addColorStop(1,'blue');d.fillStyle=g;d.fillText('Width '+d.measureText('Width').width.toFixed(2),20,100)</script>",
    "canvas-offscreen": "<canvas id=c width=700 height=300></canvas><script>const w=new Worker(URL.createObjectURL("
    "new Blob([`onmessage=e=>{const d=e.data.getContext('2d');d.fillStyle='teal';d.fillRect(20,20,300,200)}`])));"
    "const o=c.transferControlToOffscreen();w.postMessage(o,[o])</script>",
    "webgl-triangle": "<canvas id=c width=600 height=400></canvas><script>const g=c.getContext('webgl');"
    "if(!g)document.body.append('no webgl');else{const s=(t,x)=>{const r=g.createShader(t);g.shaderSource(r,x);"
    "g.compileShader(r);return r},p=g.createProgram();g.attachShader(p,s(g.VERTEX_SHADER,"
    "'attribute vec2 p;uniform float t;varying vec2 v;void main(){v=p;gl_Position=vec4(p*(.5+.4*sin(t)),0,1);}'));"
    "g.attachShader(p,s(g.FRAGMENT_SHADER,'precision mediump float;varying vec2 v;void main(){"
    "gl_FragColor=vec4(v*.5+.5,.5,1);}'));g.linkProgram(p);g.useProgram(p);g.bindBuffer(g.ARRAY_BUFFER,"
    "g.createBuffer());g.bufferData(g.ARRAY_BUFFER,new Float32Array([-1,-1,1,-1,0,1]),g.STATIC_DRAW);"
    "g.enableVertexAttribArray(0);g.vertexAttribPointer(0,2,g.FLOAT,false,0,0);const u=g.getUniformLocation(p,'t');"
    "(function f(t){g.clearColor(.1,.1,.3,1);g.clear(16384);g.uniform1f(u,t/700);g.drawArrays(4,0,3);"
    "requestAnimationFrame(f)})(0)}</script>",
    "gradients": "<style>div{width:300px;height:150px;display:inline-block}</style><div style='background:"
    "linear-gradient(45deg,#f06,#4af,#fd0)'></div><div style='background:radial-gradient(circle,#fff,#024)'></div>"
    "<div style='background:conic-gradient(red,lime,blue,red)'></div><div style='background:repeating-linear-gradient("
    "30deg,#333 0 9px,#eee 9px 20px)'></div>",
    "blending": "<style>div{position:absolute;width:300px;height:200px;mix-blend-mode:multiply;filter:saturate(2) "
    "drop-shadow(9px 9px 20px #0008)}b{position:absolute;left:80px;top:60px;width:300px;height:200px;"
    "backdrop-filter:blur(9px) hue-rotate(90deg)}</style><div style='background:#f80'></div>"
    "<div style='background:#08f;left:150px'></div><b></b>",
    "perspective": "<style>@keyframes r{to{transform:rotateY(360deg)}}main{perspective:600px}#box{animation:r 5s linear "
    "infinite;width:200px;height:200px}</style><main>" + BOX + "</main>",
    "fonts": "<style>p{font-size:28px;margin:4px}</style><p style='font-family:serif'>Serif Quixotic fly</p>"
    "<p style='font-family:monospace'>mono 0123</p><p style='font-family:cursive'>cursive</p><p>emoji 🎲🚀✅</p>"
    "<p>中文 日本語 한국어 العربية עברית ไทย</p><p style='font-variant:small-caps;letter-spacing:.1em'>Small caps</p>",
    "fonts-face": "<style>@font-face{font-family:x;src:local('DejaVu Sans'),local('Liberation Sans')}p{font:40px x}"
    "</style><p>Local face</p>" + OUT + "<script>document.fonts.ready.then(f=>out.textContent=f.size+f.status);"
    "document.fonts.load('40px x').then(f=>out.textContent+=f.length)</script>",
    "observer-intersection": "<style>section{height:500px;opacity:0;transition:opacity 1s}.on{opacity:1}</style>"
    "<section>one</section><section>two</section><section>three</section>" + OUT + "<script>const o="
    "new IntersectionObserver(l=>l.forEach(e=>{out.textContent+=e.intersectionRatio.toFixed(2)+' ';"
    "e.target.classList.toggle('on',e.isIntersecting)}),{threshold:[0,.5,1]});"
    "document.querySelectorAll('section').forEach(s=>o.observe(s))</script>",
    "observer-resize": "<textarea id=t>grow</textarea>" + BOX + OUT + "<script>new ResizeObserver(l=>out.textContent+="
    "Math.round(l[0].contentRect.width)+' ').observe(box);let w=80;setInterval(()=>box.style.width=(w+=20)%500+'px',90)"
    "</script>",
    "observer-mutation": OUT
    + "<ul id=u></ul><script>let n=0;new MutationObserver(l=>{out.textContent=++n+' '+l.length})"
    ".observe(u,{childList:true});setInterval(()=>u.append(Object.assign(document.createElement('li'),"
    "{textContent:Math.random()})),120)</script>",
    "observer-performance": OUT + "<script>new PerformanceObserver(l=>{for(const e of l.getEntries())out.textContent+="
    "e.entryType+' '}).observe({entryTypes:['mark','measure','paint']});setTimeout(()=>performance.mark('a'),100)</script>",
    "clock-text": OUT + "<script>setInterval(()=>out.textContent=new Date().toISOString()+' '+Date.now()+' '+"
    "performance.now()+' '+performance.timeOrigin+' '+new Intl.DateTimeFormat().format(),70)</script>",
    "clock-analogue": "<canvas id=c width=300 height=300></canvas><script>const d=c.getContext('2d');(function f(){const n="
    "new Date();d.clearRect(0,0,300,300);for(const[a,l]of[[n.getSeconds()/60+n.getMilliseconds()/6e4,120],"
    "[n.getMinutes()/60,90]]){d.beginPath();d.moveTo(150,150);d.lineTo(150+l*Math.sin(a*6.2832),150-l*Math.cos(a*6.2832));"
    "d.stroke()}requestAnimationFrame(f)})()</script>",
    "clock-events": OUT + "<script>const s=[];addEventListener('load',e=>s.push(e.timeStamp));"
    "document.addEventListener('DOMContentLoaded',e=>s.push(e.timeStamp));setTimeout(()=>out.textContent=s.map("
    "x=>x.toFixed(1)),500)</script>",
    "clock-navigation": OUT + "<script>setTimeout(()=>{const t=performance.getEntriesByType('navigation')[0];"
    "out.textContent=[t.domInteractive,t.loadEventEnd,performance.timing.loadEventEnd-performance.timing.navigationStart]"
    "},500)</script>",
    "clock-animation-event": "<style>@keyframes m{to{left:9px}}#box{position:relative;animation:m .4s 4}</style>"
    + BOX
    + OUT
    + "<script>box.onanimationiteration=e=>out.textContent+=e.elapsedTime+' '+Math.round(e.timeStamp)+' '</script>",
    "random": "<main id=m></main><script>for(let i=0;i<300;i++){const b=document.createElement('b');b.style.cssText="
    "`display:inline-block;width:${Math.random()*60}px;height:20px;background:hsl(${Math.random()*360},70%,50%)`;m.append(b)}"
    "</script>",
    "random-crypto": OUT
    + "<script>out.textContent=[crypto.randomUUID(),crypto.getRandomValues(new Uint32Array(4))]</script>",
    "random-worker": OUT + "<script>const w=new Worker(URL.createObjectURL(new Blob([`postMessage([Math.random(),"
    "crypto.randomUUID()])`])));w.onmessage=e=>out.textContent=e.data</script>",
    "random-frame": "<iframe srcdoc='<pre id=o></pre><script>setInterval(()=>o.textContent=[Math.random(),Date.now()],100)"
    "</script>'></iframe>",
    "random-sort": OUT
    + "<script>const a=[...Array(60).keys()].sort(()=>Math.random()-.5);out.textContent=a.join(' ')</script>",
    "random-keys": OUT + "<script>crypto.subtle.generateKey({name:'HMAC',hash:'SHA-256'},true,['sign']).then(k=>"
    "crypto.subtle.exportKey('raw',k)).then(b=>out.textContent=b.byteLength)</script>",
    "random-blob": OUT + "<script>out.textContent=URL.createObjectURL(new Blob(['x']))</script>",
    "worker-clock": OUT
    + "<script>const w=new Worker(URL.createObjectURL(new Blob([`let n=0;setInterval(()=>postMessage("
    "++n),100)`])));w.onmessage=e=>out.textContent='ticks '+e.data</script>",
    "worker-sum": OUT
    + "<script>const w=new Worker(URL.createObjectURL(new Blob([`let n=0;for(let i=0;i<3e7;i++)n+=i%7;"
    "postMessage(n)`])));w.onmessage=e=>out.textContent=e.data</script>",
    "worker-date": OUT
    + "<script>const w=new Worker(URL.createObjectURL(new Blob([`postMessage(new Date().getFullYear())`"
    "])));w.onmessage=e=>out.textContent=e.data</script>",
    "async-digest": OUT + "<script>crypto.subtle.digest('SHA-256',new Uint8Array(3e6)).then(b=>out.textContent="
    "new Uint8Array(b).join())</script>",
    "async-wasm": OUT
    + "<script>WebAssembly.instantiate(new Uint8Array([0,97,115,109,1,0,0,0,1,5,1,96,0,1,127,3,2,1,0,7,"
    "5,1,1,102,0,0,10,6,1,4,0,65,42,11])).then(m=>out.textContent=m.instance.exports.f())</script>",
    "async-bitmap": "<canvas id=c width=300 height=300></canvas><script>const i=new ImageData(200,200);i.data.fill(160);"
    "createImageBitmap(i).then(b=>c.getContext('2d').drawImage(b,20,20))</script>",
    "async-database": OUT
    + "<script>const r=indexedDB.open('d',1);r.onupgradeneeded=()=>r.result.createObjectStore('s');"
    "r.onsuccess=()=>{const t=r.result.transaction('s','readwrite'),s=t.objectStore('s');s.put(7,'k');const g=s.get('k');"
    "g.onsuccess=()=>out.textContent='stored '+g.result}</script>",
    "async-compression": OUT + "<script>new Response(new Blob(['x'.repeat(1e6)]).stream().pipeThrough("
    "new CompressionStream('gzip'))).arrayBuffer().then(b=>out.textContent=b.byteLength)</script>",
    "async-fetch": OUT
    + "<script>fetch('data:application/json,{\"a\":5}').then(r=>r.json()).then(j=>out.textContent+=j.a);"
    "fetch('https://api.example.com/x').catch(e=>out.textContent+=e)</script>",
    "async-decode": '<img id=i src="'
    + SQUARE
    + '"><img loading=lazy src="'
    + SQUARE
    + '">'
    + OUT
    + "<script>i.decode().then(()=>out.textContent='decoded '+i.naturalWidth)</script>",
    "async-audio": OUT + "<script>const o=new OfflineAudioContext(1,44100,44100),s=o.createOscillator();"
    "s.connect(o.destination);s.start();o.startRendering().then(b=>out.textContent=b.getChannelData(0)[1000].toFixed(5))"
    "</script>",
    "audio-clock": OUT
    + "<script>const a=new AudioContext();setInterval(()=>out.textContent=a.state+' '+a.currentTime,100)"
    "</script>",
    "tasks-order": OUT
    + "<script>const s=[];const p=t=>s.push(t);setTimeout(()=>p('timeout'),0);Promise.resolve().then("
    "()=>p('micro'));const c=new MessageChannel();c.port1.onmessage=()=>p('message');c.port2.postMessage(1);"
    "requestAnimationFrame(()=>p('frame'));requestIdleCallback(()=>p('idle'));scheduler.postTask(()=>p('posted'));"
    "queueMicrotask(()=>p('queued'));setTimeout(()=>out.textContent=s.join(' '),300)</script>",
    "tasks-idle": OUT + "<script>let n=0;(function f(d){n++;out.textContent=n+' '+(d?d.timeRemaining()>0:'');"
    "n<40&&requestIdleCallback(f)})()</script>",
    "tasks-messages": OUT
    + "<script>let n=0;const c=new MessageChannel(),e=performance.now()+200;c.port1.onmessage=()=>{n++;"
    "if(performance.now()<e)c.port2.postMessage(1);else out.textContent='over'};c.port2.postMessage(1)</script>",
    "tasks-zero": OUT + "<script>let n=0;(function f(){out.textContent=++n;if(n<500)setTimeout(f,0)})()</script>",
    "frames-counted": OUT + "<script>let n=0;(function f(){n++;requestAnimationFrame(f)})();setInterval(()=>"
    "out.textContent=n+' frames',250)</script>",
    "count-up": "<h1 id=h>0</h1><script>const s=performance.now();(function f(t){const k=Math.min(1,(performance.now()-s)"
    "/5000);h.textContent=Math.floor(k*k*98765);k<1&&requestAnimationFrame(f)})()</script>",
    "typewriter": "<h1 id=h></h1><script>const t='A long sentence that is typed letter by letter. '.repeat(4);let i=0;"
    "(function f(){h.textContent+=t[i++];i<t.length&&setTimeout(f,30+Math.random()*60)})()</script>",
    "busy-script": OUT + "<script>let n=0;for(let i=0;i<6e7;i++)n+=i%7;out.textContent=n;setTimeout(()=>{let m=0;"
    "for(let i=0;i<6e7;i++)m+=i%5;out.textContent+=' '+m},100)</script>",
    "busy-interval": OUT
    + BOX
    + "<script>let k=0;setInterval(()=>{let n=0;for(let i=0;i<3e6;i++)n+=i%7;box.style.width="
    "80+(++k%40)*9+'px';out.textContent=k},20)</script>",
    "busy-wait": OUT + "<script>const e=Date.now()+250;let n=0;while(Date.now()<e)n++;out.textContent='waited';"
    "setTimeout(()=>out.textContent+=' on',10)</script>",
    "focus-caret": "<input id=i autofocus value=typed><textarea>text</textarea><script>i.focus();i.select()</script>",
    "focus-editable": "<div contenteditable id=e style='border:1px solid;font-size:30px'>edit me</div>"
    "<script>e.focus()</script>",
    "form-controls": "<input type=date value=2025-01-02><input type=time value=10:20><input type=color value=#336699>"
    "<input type=range><progress></progress><meter value=.6></meter><select><option>one</select><input type=checkbox checked>"
    "<details open><summary>More</summary>inside</details>",
    "dialog": "<dialog id=d><h2>Dialog</h2><button autofocus>OK</button></dialog><div popover id=p>Popover</div>"
    "<script>d.showModal();setTimeout(()=>p.showPopover(),500)</script>",
    "scroll-smooth": "<style>html{scroll-behavior:smooth}body{height:4000px;background:linear-gradient(red,blue)}</style>"
    "<script>setTimeout(()=>scrollTo(0,2500),300)</script>",
    "scroll-inner": "<style>#s{height:200px;overflow:auto;width:400px}#s p{height:90px;background:linear-gradient(90deg,"
    "gold,teal)}</style><div id=s></div><script>for(let i=0;i<40;i++)s.insertAdjacentHTML('beforeend','<p>'+i);"
    "setInterval(()=>s.scrollTop+=7,60)</script>",
    "scroll-into-view": "<style>p{height:300px}</style><p>1<p>2<p>3<p id=x>four<p>5<script>x.scrollIntoView({behavior:"
    "'smooth',block:'center'})</script>",
    "sticky": "<style>h2{position:sticky;top:0;background:gold}p{height:400px}</style><h2>A</h2><p>a</p><h2>B</h2><p>b</p>"
    "<script>setTimeout(()=>scrollTo(0,300),500)</script>",
    "video": "<video controls width=400 height=200></video><audio controls></audio>",
    "print-media": "<style>@media(prefers-color-scheme:dark){body{background:#111}}@media(prefers-reduced-motion){body{"
    "color:red}}</style><h1>Media</h1>" + OUT + "<script>out.textContent=[devicePixelRatio,screen.width,innerWidth,"
    "navigator.language,navigator.hardwareConcurrency,matchMedia('(hover)').matches]</script>",
    "machine": OUT + "<script>out.textContent=[navigator.deviceMemory,navigator.platform,navigator.onLine,"
    "performance.memory&&performance.memory.jsHeapSizeLimit>0,navigator.maxTouchPoints]</script>",
    "battery": OUT + "<script>navigator.getBattery&&navigator.getBattery().then(b=>out.textContent=b.level)</script>",
    "voices": OUT + "<script>speechSynthesis.onvoiceschanged=()=>out.textContent+=' changed';setTimeout(()=>"
    "out.textContent+=speechSynthesis.getVoices().length,800)</script>",
    "storage": OUT
    + "<script>localStorage.n=(+localStorage.n||0)+1;document.cookie='a=1';out.textContent=localStorage.n+"
    "document.cookie</script>",
    "shadow": "<x-clock></x-clock><script>customElements.define('x-clock',class extends HTMLElement{connectedCallback(){"
    "const s=this.attachShadow({mode:'open'});setInterval(()=>s.innerHTML='<h1>'+new Date().toLocaleTimeString()+'</h1>',"
    "200)}})</script>",
    "images-many": "".join(
        f'<img loading=lazy width=60 src="{SQUARE.replace("teal", colour)}">'
        for colour in ("teal", "gold", "navy", "crimson", "olive", "plum", "coral", "khaki") * 9
    ),
    "columns-late": "<style>main{columns:3}</style><main id=m></main><script>let n=0;const t=setInterval(()=>{m.innerHTML+="
    "'<p>Paragraph '+n+' with words enough to fill a line or two of the column';++n>40&&clearInterval(t)},40)</script>",
    "game-loop": "<canvas id=c width=600 height=300></canvas><script>const d=c.getContext('2d');let l=0,a=0,s=[[9,9]];"
    "(function f(t){a+=t-l;l=t;while(a>100){a-=100;s.unshift([(s[0][0]+1)%60,(s[0][1]+(Math.random()<.3))%30]);s.length>20"
    "&&s.pop()}d.clearRect(0,0,600,300);for(const[x,y]of s)d.fillRect(x*10,y*10,9,9);requestAnimationFrame(f)})(0)</script>",
    "splash": "<div id=s style='position:fixed;inset:0;background:#123'>Loading</div><h1>Ready</h1><script>setTimeout(()=>{"
    "s.style.transition='opacity .5s';s.style.opacity=0;setTimeout(()=>s.remove(),500)},1500)</script>",
    "reload-once": OUT
    + "<script>if(!sessionStorage.r){sessionStorage.r=1;location.reload()}else out.textContent='again'"
    "</script>",
    "document-write": "<script>setTimeout(()=>{document.open();document.write('<h1>Rewritten '+Date.now()+'</h1>');"
    "document.close()},700)</script>",
    "errors": OUT + "<script>setInterval(()=>{throw new Error('late '+(performance.now()|0)%3)},500)</script>",
}

PAGES = {name: f"<!DOCTYPE html><title>{name}</title><body>{body}" for name, body in _BODIES.items()}
"""A name and a page each."""
