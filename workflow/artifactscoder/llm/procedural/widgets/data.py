"""Data: key figures, bar chart, line chart, donut, table, region map, sorting visualiser."""

from __future__ import annotations

from .record import BOARD, OUTPUT, SVG, widget

DATA = (
    widget(
        "stats",
        "Key figures",
        headings=("At a glance", "@short@ in figures"),
        words="dashboard figure kpi metric target stat total overview summary business revenue count report monitor "
        "performance budget sales score inventory stock analytics",
        asks=("key figures for day, week and month", "figures that switch between periods"),
        html=(BOARD, OUTPUT),
        js="""
            function show(days) {
              root.querySelector('.board').replaceChildren(...TOPICS.map((name, at) => {
                const box = make('div', name);
                box.append(Object.assign(make('p', VALUES[at] * days), { className: 'big' }));
                return box;
              }));
              tell(root, 'Sum: ' + VALUES.reduce((sum, value) => sum + value * days, 0));
            }
            press(root, 'Day', () => show(1));
            press(root, 'Week', () => show(7));
            press(root, 'Month', () => show(30));
            show(1);
        """,
    ),
    widget(
        "bars",
        "Bar chart",
        headings=("Bar chart", "@short@ compared"),
        words="bar chart graph compare ranking statistic visual data poll vote result sales histogram report survey "
        "emission energy infographic population",
        asks=("a bar chart that can be sorted", "a bar chart with the value at each bar"),
        html=(SVG,),
        js="""
            const order = [0, 1, 2, 3];
            const shape = (at, i) => `<rect y="${i * 65 + 30}" width="${VALUES[at] * 6}" height="26" fill="var(--accent)"/>
              <text y="${i * 65 + 22}" fill="var(--ink)">${TOPICS[at]} ${VALUES[at]}</text>`;
            const draw = () => chart(root, order.map(shape));
            press(root, 'Largest first', () => { order.sort((a, b) => VALUES[b] - VALUES[a]); draw(); });
            press(root, 'As listed', () => { order.sort(); draw(); });
            draw();
        """,
    ),
    widget(
        "lines",
        "Line chart",
        headings=("The trend", "@short@ over time"),
        words="line chart trend graph over time series price weather temperature growth portfolio stock market weight "
        "heart forecast measurement function curve signal wave epidemic",
        asks=(
            "a line chart to which values can be added",
            "a line chart of the trend with a new value a click",
        ),
        html=(SVG, OUTPUT),
        js="""
            let points = [...VALUES, ...VALUES, ...VALUES];
            function draw() {
              chart(root, [curve(points)]);
              tell(root, points.length + ' values, the last is ' + points.at(-1));
            }
            press(root, 'More', () => { points = [...points, Math.ceil(Math.random() * 95)].slice(-20); draw(); });
            press(root, 'Less', () => { points = points.slice(0, Math.max(2, points.length - 1)); draw(); });
            draw();
        """,
    ),
    widget(
        "donut",
        "Donut chart",
        headings=("Shares", "@short@ by share"),
        words="donut pie share chart percent portion budget split portfolio expense allocation household spending ratio "
        "distribution part election macro",
        asks=("a donut chart whose parts can be chosen", "a donut chart with a legend to click"),
        html=(SVG, BOARD, OUTPUT),
        js="""
            const total = VALUES.reduce((sum, value) => sum + value);
            choice(root, (chosen) => {
              let turn = 0;
              chart(root, VALUES.map((value, at) => {
                turn += value / total * 628;
                return `<circle cx="300" cy="130" r="100" fill="none" stroke="var(--${at === chosen ? 'pop' : 'accent'})" stroke-width="40"
                  stroke-dasharray="${value / total * 628 - 4} 999" stroke-dashoffset="${value / total * 628 - turn}"/>`;
              }));
              tell(root, TOPICS[chosen] + ': ' + Math.round(VALUES[chosen] / total * 100) + ' %');
            }).click();
        """,
    ),
    widget(
        "table",
        "Table",
        headings=("All entries", "@short@ in rows"),
        words="table sort filter column row spreadsheet record student grade customer lead inventory stock order staff "
        "statement transaction csv data cell admin shipment standings league member",
        asks=(
            "a table that can be sorted both ways and filtered",
            "a sortable table with a filter for its rows",
        ),
        html=("<label>Search <input></label>", "<table></table>", OUTPUT),
        css="table { width: 100%; text-align: left; } th, td { padding: 0.5rem 0; border-bottom: 1px solid #8886; }",
        js="""
            const input = root.querySelector('input');
            const items = goods();
            input.oninput = () => {
              const found = items.filter((item) => item.name.toLowerCase().includes(input.value.toLowerCase()));
              root.querySelector('table').replaceChildren();
              found.forEach((item) => {
                const line = root.querySelector('table').insertRow();
                line.append(make('th', item.name), make('td', item.value));
              });
              tell(root, found.length ? found.length + ' found' : 'Nothing found');
            };
            press(root, 'By name', () => { items.sort((a, b) => a.name.localeCompare(b.name)); input.oninput(); });
            press(root, 'Largest first', () => { items.sort((a, b) => b.value - a.value); input.oninput(); });
            input.oninput();
        """,
    ),
    widget(
        "map",
        "Map",
        headings=("On the map", "Where is @short@?"),
        words="map region country place plan floor district spatial location route island territory zone atlas geography "
        "house apartment building property trail park city station",
        asks=("a map of regions that answer to a click", "a region map that can be used with the keyboard"),
        html=(SVG, BOARD, OUTPUT),
        js="""
            const shapes = ['0 0 270 0 330 120 0 150', '290 0 600 0 600 140 350 120', '0 170 330 140 300 260 0 260',
              '350 140 600 160 600 260 320 260'];
            choice(root, (chosen) => {
              chart(root, shapes.map((shape, at) => `<polygon points="${shape}" fill="var(--${at === chosen ? 'pop' : 'accent'})"/>`));
              root.querySelectorAll('polygon').forEach((area, at) => { area.onclick = () => root.querySelectorAll('button')[at].click(); });
              tell(root, TOPICS[chosen] + ': ' + NOTES[chosen]);
            }).click();
        """,
    ),
    widget(
        "sorting",
        "Sorting visualiser",
        headings=("Watch it sort", "Sorting @short@"),
        words="sorting sort algorithm visualis step bubble trace code program learn search queue stack recursion array "
        "compare swap machine",
        asks=("a sorting algorithm shown step by step", "bars that are sorted one swap at a time"),
        html=(SVG, OUTPUT),
        js="""
            let bars = [];
            const wrong = () => bars.findIndex((value, at) => value > bars[at + 1]);
            function draw() {
              chart(root, bars.map((value, at) => `<rect x="${at * 38}" y="${260 - value}" width="30" height="${value}" fill="var(--accent)"/>`));
              tell(root, wrong() < 0 ? 'Sorted' : 'Bar ' + (wrong() + 1) + ' is too high');
            }
            function step() {
              const at = wrong();
              if (at >= 0) bars.splice(at, 2, bars[at + 1], bars[at]);
              draw();
            }
            function shuffle() {
              bars = Array.from({ length: 16 }, () => Math.ceil(Math.random() * 260));
              draw();
            }
            press(root, 'Step', step);
            press(root, 'Ten steps', () => [...'0123456789'].forEach(step));
            press(root, 'Shuffle', shuffle);
            shuffle();
        """,
    ),
    widget(
        "network",
        "Network",
        headings=("Connections", "Around @short@"),
        words="network graph node link hierarchy tree dependency flow relation connect family organisation neural path "
        "diagram mind topology circuit molecule web",
        asks=(
            "a network whose nodes show their neighbours",
            "a graph of nodes in which a click lights the links",
        ),
        html=(SVG, BOARD, OUTPUT),
        js="""
            const places = [[80, 60], [480, 50], [540, 200], [180, 210]];
            choice(root, (chosen) => {
              const [a, b] = places[chosen];
              chart(root, places.map(([x, y]) => `<path d="M${a} ${b}L${x} ${y}" stroke="var(--pop)" stroke-width="5"/>
                <circle cx="${x}" cy="${y}" r="${x === a ? 40 : 22}" fill="var(--accent)"/>`));
              tell(root, TOPICS[chosen] + ': ' + NOTES[chosen]);
            }).click();
        """,
    ),
)
