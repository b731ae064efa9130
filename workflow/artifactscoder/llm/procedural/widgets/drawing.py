"""Pictures and sound: particles, drawing board, ball, SVG scene, pads, palette, cube, orbit."""

from __future__ import annotations

from .record import CANVAS, LIST, OUTPUT, columns, slide, widget

FOUR = columns(4)

DRAWING = (
    widget(
        "particles",
        "Particles",
        headings=("In motion", "@short@ as particles"),
        words="particle canvas generative art pattern crowd swarm snow star cell gas molecule population flock ecology "
        "epidemic traffic background effect confetti fluid ecosystem",
        asks=(
            "particles on canvas that follow the pointer",
            "a moving canvas picture with a slider for the number",
        ),
        html=(CANVAS, slide("Number"), OUTPUT),
        js="""
            let [dots, aim] = [[], 300];
            slider(root, (count) => {
              dots = Array.from({ length: count }, () => ({ x: Math.random() * 600, y: Math.random() * 260 }));
              tell(root, 'Number: ' + count);
            });
            film(root, (pen) => dots.forEach((one) => {
              one.x += (aim - one.x) / 200 + Math.random() * 4 - 2;
              one.y = (one.y + 1) % 260;
              dot(pen, one.x, one.y, 5, '--accent');
            }));
            root.onpointermove = (event) => { aim = event.offsetX; };
        """,
    ),
    widget(
        "sketch",
        "Drawing board",
        headings=("Draw here", "Sketch @short@"),
        words="draw drawing sketch paint canvas board brush pixel comic sticker whiteboard annotate image photo crop design "
        "signature doodle editor creation stencil",
        asks=("a drawing board with a width to choose", "a canvas to draw on with pen and clear"),
        html=(CANVAS, slide("Width", 1, 30, 9), OUTPUT),
        css="canvas { touch-action: none; }",
        js="""
            const canvas = root.querySelector('canvas');
            const pen = canvas.getContext('2d');
            let size = 9;
            slider(root, (width) => { size = width; tell(root, 'Width: ' + size); });
            canvas.onpointermove = ({ buttons, offsetX, offsetY }) => {
              const scale = 600 / canvas.clientWidth;
              if (buttons) dot(pen, offsetX * scale, offsetY * scale, size, '--accent');
            };
            press(root, 'Clear', () => pen.clearRect(0, 0, 600, 260));
            VALUES.forEach((value, at) => dot(pen, at * 140 + 90, value * 2 + 30, value / 2, '--pop'));
        """,
    ),
    widget(
        "ball",
        "Physics ball",
        headings=("Let it fall", "Forces on @short@"),
        words="physics ball bounce gravity force motion pendulum spring collision throw simulation energy mass experiment "
        "laboratory mechanics projectile friction",
        asks=("a bouncing ball with gravity to choose", "a physics model with a slider for the force"),
        html=(CANVAS, slide("Gravity"), OUTPUT),
        js="""
            let [x, y, dx, dy, force] = [80, 60, 4, 0, 0];
            slider(root, (value) => { force = value / 100; tell(root, 'Gravity: ' + value); });
            film(root, (pen) => {
              [x, y, dy] = [x + dx, y + dy, dy + force];
              if (x < 20 || x > 580) dx = x < 20 ? 4 : -4;
              if (y > 240) [y, dy] = [240, -Math.abs(dy) * 0.97];
              dot(pen, x, y, 20, '--accent');
            });
            press(root, 'Kick', () => { dy = -8; tell(root, 'Kicked'); });
        """,
    ),
    widget(
        "scene",
        "SVG scene",
        headings=("Through the day", "@short@ by day and night"),
        words="svg scene illustration landscape day night sun season weather sky hero background character object badge icon "
        "logo emblem hill garden travel nature camp",
        asks=(
            "an SVG scene with the time of day on a slider",
            "an SVG landscape that changes from day to night",
        ),
        html=(
            '<svg viewBox="0 0 600 260" role="img" aria-label="Landscape">',
            '<circle cx="300" cy="60" r="40" fill="gold"/>',
            '<path d="M0 260 Q150 90 300 190 T600 170 V260" fill="var(--accent)"/>',
            '<path d="M0 260 Q200 160 360 225 T600 215 V260" fill="var(--pop)"/>',
            "</svg>",
            slide("Hour", 6, 20, 10),
            OUTPUT,
        ),
        js="""
            slider(root, (hour) => {
              root.querySelector('circle').style.transform = `translate(${(hour - 13) * 36}px, ${(hour - 13) ** 2 * 3}px)`;
              root.querySelector('svg').style.background = `hsl(205 60% ${85 - (hour - 13) ** 2}%)`;
              tell(root, hour + ':00');
            });
        """,
    ),
    widget(
        "pads",
        "Sound pads",
        headings=("Play the pads", "The sound of @short@"),
        words="audio sound music pad drum piano beat player song mixer instrument playlist podcast rhythm melody synth note "
        "radio tone record video",
        asks=("sound pads made with Web Audio", "eight pads that play tones by click or number key"),
        html=(FOUR, OUTPUT),
        why="Browsers refuse sound before a gesture, so it is set up at the first tone.",
        js="""
            let audio = null;
            function hit(key) {
              audio = audio ?? new AudioContext();
              const tone = audio.createOscillator();
              tone.frequency.value = 220 * 2 ** (key / 8);
              tone.connect(audio.destination);
              tone.start();
              tone.stop(audio.currentTime + 0.3);
              tell(root, 'Tone ' + key);
            }
            keys(root, '12345678', hit);
            ~root.onkeydown = (event) => { if (/^[1-8]$/.test(event.key)) hit(event.key); };
        """,
    ),
    widget(
        "palette",
        "Colour palette",
        headings=("Find the colours", "Colours for @short@"),
        words="colour color palette gradient contrast hue theme design swatch tint shade picker paint fashion style wall "
        "filter effect css",
        asks=("a palette built from one hue", "swatches that show their colour value"),
        html=(slide("Hue", 0, 360, 210), LIST, OUTPUT),
        js="""
            slider(root, (hue) => {
              const colours = [30, 45, 60, 75].map((light) => `hsl(${hue} 60% ${light}%)`);
              fill(root, colours);
              root.querySelectorAll('li').forEach((line, at) => {
                line.style.cssText = 'background: ' + colours[at] + '; color: ' + (at < 2 ? 'white' : 'black');
              });
              tell(root, 'Hue: ' + hue);
            });
        """,
    ),
    widget(
        "cube",
        "Cube in 3D",
        headings=("Turn it round", "@short@ from every side"),
        words="3d cube three dimension webgl rotate model solid geometry perspective object world depth space cut crystal "
        "architecture angle volume product",
        asks=("a cube in CSS 3D that turns with a slider", "a 3D object that can be turned"),
        html=(slide("Turn", 0, 360, 30), '<div class="solid"></div>', OUTPUT),
        css=".solid { height: 14rem; transform-style: preserve-3d; } .solid b { position: absolute; inset: 2rem calc(50% - 5rem); }",
        js="""
            slider(root, (turn) => {
              root.querySelector('.solid').replaceChildren(...TOPICS.map((name, at) => {
                const side = make('b', name);
                side.style.transform = `perspective(50rem) rotateY(${turn + at * 90}deg) translateZ(5rem)`;
                side.style.background = at % 2 ? 'var(--pop)' : 'var(--accent)';
                return side;
              }));
              tell(root, 'Turn: ' + turn);
            });
        """,
    ),
    widget(
        "orbit",
        "Orbits",
        headings=("Round and round", "@short@ in orbit"),
        words="orbit planet solar astronomy moon star space sky satellite wave rotate gear engine motor season tide "
        "oscillation wheel electron atom",
        asks=(
            "bodies in orbit with a speed to choose",
            "an orbit model on canvas with a slider for the speed",
        ),
        html=(CANVAS, slide("Speed"), OUTPUT),
        js="""
            let [time, speed] = [0, 0];
            slider(root, (value) => { speed = value / 999; tell(root, 'Speed: ' + value); });
            film(root, (pen) => {
              time += speed;
              dot(pen, 300, 130, 26, '--pop');
              VALUES.forEach((size, at) => {
                const angle = time * (5 - at) + at;
                dot(pen, 300 + (at * 60 + 80) * Math.cos(angle), 130 + (at * 24 + 40) * Math.sin(angle), size / 4, '--accent');
              });
            });
        """,
    ),
    widget(
        "pixels",
        "Pixel editor",
        headings=("Pixel by pixel", "@short@ in pixels"),
        words="pixel sprite draw paint icon art editor grid badge stencil mosaic pattern tile cross stitch comic sticker creation",
        asks=("a pixel editor of eight by eight fields", "a grid to paint pixel by pixel"),
        html=('<div class="board" style="--n: 8; gap: 2px"></div>', OUTPUT),
        js="""
            const cells = keys(root, '\u00b7'.repeat(64), (sign, cell) => paint(cell, cell.ariaPressed !== 'true'));
            function paint(cell, on) {
              mark(cell, on);
              tell(root, root.querySelectorAll('[aria-pressed=true]').length + ' of 64 painted');
            }
            cells.forEach((cell, at) => paint(cell, at % 9 === 0 || at % 7 === 0));
            press(root, 'Clear', () => cells.forEach((cell) => paint(cell, false)));
            press(root, 'Invert', () => cells.forEach((cell) => paint(cell, cell.ariaPressed !== 'true')));
        """,
    ),
)
