"""Parts that a wish of the request adds: live data, points, languages, reading aids, shortcuts, export, theme."""

from __future__ import annotations

from .record import BIG, LIST, OUTPUT, QUIET, SVG, widget

WISHES = (
    widget(
        "live",
        "Live values",
        headings=("Right now", "@short@, live"),
        words="live real-time realtime stream sensor monitor telemetry alert status server tick update",
        asks=(
            "values that change every second and can be paused",
            "a live reading with a limit that raises an alert",
        ),
        html=(QUIET, SVG),
        js="""
            let [points, running] = [[...VALUES], true];
            function tick() {
              if (!running) return;
              points = [...points, Math.ceil(Math.random() * 95)].slice(-20);
              chart(root, [curve(points)]);
              tell(root, points.at(-1) + (points.at(-1) > 80 ? ', above the limit' : ''));
            }
            setInterval(tick, 1000);
            press(root, 'Start or pause', () => { running = !running; tell(root, running ? 'Running' : 'Paused'); });
            tick();
        """,
    ),
    widget(
        "points",
        "Points and badges",
        headings=("Your points", "Points for @short@"),
        words="gamif point badge reward level achievement streak unlock leaderboard",
        asks=("points for every action and badges to earn", "points and badges that reward use"),
        html=(BIG, LIST),
        js="""
            let score = load(root, 0);
            function draw() {
              fill(root, ['Starter', 'Regular', 'Master'].filter((name, at) => score >= at * 40 + 20));
              tell(root, score + ' points');
              save(root, score);
            }
            document.addEventListener('click', (event) => { if (event.target.matches('button')) score += 5; draw(); });
            draw();
        """,
    ),
    widget(
        "language",
        "Languages",
        headings=("In your language", "@short@ in three languages"),
        words="internation multilingual locale translat i18n bilingual",
        asks=(
            "a switch between three languages with dates to match",
            "texts, dates and sums in three languages",
        ),
        html=(BIG,),
        js="""
            const texts = { en: 'Welcome', es: 'Bienvenido', ar: '\u0623\u0647\u0644\u0627' };
            Object.keys(texts).forEach((lang) => press(root, lang, () => {
              Object.assign(root, { lang, dir: lang === 'ar' ? 'rtl' : 'ltr' });
              tell(root, texts[lang] + ', ' + new Intl.DateTimeFormat(lang, { dateStyle: 'full' }).format(new Date()));
            }));
            root.querySelector('button').click();
        """,
    ),
    widget(
        "reader",
        "Reading aids",
        headings=("Easier to read", "Reading aids"),
        words="accessib screen-reader wcag impair low-vision",
        asks=("larger text and a high contrast at a click", "reading aids whose state is announced"),
        html=(OUTPUT,),
        why="The output announces each change to screen readers.",
        js="""
            function set(size) {
              document.documentElement.style.fontSize = size + '%';
              tell(root, 'Text at ' + size + ' %');
            }
            press(root, 'Normal text', () => set(100));
            press(root, 'Large text', () => set(130));
            press(root, 'High contrast', () => {
              document.body.style.cssText = '--bg: white; --card: white; --ink: black; --accent: navy; --on: white';
              tell(root, 'High contrast');
            });
        """,
    ),
    widget(
        "keys",
        "Shortcuts",
        headings=("By keyboard or swipe", "Quick ways"),
        words="keyboard shortcut gesture swipe drag interact hotkey",
        asks=(
            "shortcuts for every part and swipes on a phone",
            "full use by keyboard, with a list of the keys",
        ),
        html=("<p>Alt with an arrow key, or a swipe, goes from part to part.</p>", OUTPUT),
        js="""
            const parts = [...document.querySelectorAll('.main .card')];
            let [at, from] = [0, 0];
            function move(by) {
              at = (at + by + parts.length) % parts.length;
              parts[at].scrollIntoView();
              tell(root, 'Part ' + (at + 1));
            }
            press(root, 'Next', () => move(1));
            document.onkeydown = (event) => { if (event.altKey) move({ ArrowRight: 1, ArrowLeft: -1 }[event.key] ?? 0); };
            document.ontouchstart = (event) => { from = event.touches[0].clientX; };
            document.ontouchend = (event) => move(Math.round((from - event.changedTouches[0].clientX) / 200));
        """,
    ),
    widget(
        "export",
        "Export",
        headings=("Take it with you", "Export @short@"),
        words="export import download undo history backup json csv file advanced clipboard offline share",
        asks=(
            "an export of the data as a file and a history with undo",
            "a download as JSON and an undo of the last change",
        ),
        html=(LIST, OUTPUT),
        js="""
            const items = [...TOPICS];
            function draw() {
              fill(root, items);
              tell(root, items.length ? items.length + ' rows' : 'Nothing to export');
            }
            press(root, 'Add', () => { items.push(pick(NOTES)); draw(); });
            press(root, 'Undo', () => { items.pop(); draw(); });
            press(root, 'Download', () => {
              const link = Object.assign(make('a'), { download: 'rows.json' });
              link.href = URL.createObjectURL(new Blob([JSON.stringify(items)]));
              link.click();
            });
            draw();
        """,
    ),
    widget(
        "theme",
        "Colour scheme",
        headings=("Light or dark", "Colours of @short@"),
        words="theme colour-scheme dark-mode light-mode skin",
        asks=("a switch between light and dark that is remembered", "a choice of colour schemes"),
        html=(OUTPUT,),
        js="""
            const looks = { Own: '', Light: '--bg: white; --card: whitesmoke; --ink: black', Dark: '--bg: black; --card: #222; --ink: white' };
            function show(name) {
              document.body.style.cssText = looks[name];
              tell(root, 'Colours: ' + name);
              save(root, name);
            }
            Object.keys(looks).forEach((name) => press(root, name, () => show(name)));
            show(load(root, 'Own'));
        """,
    ),
)
