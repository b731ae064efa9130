"""Desk work: to-do list, board, calculator, converter, text counter, password."""

from __future__ import annotations

from .record import BIG, BOARD, ENTRY, LIST, OUTPUT, columns, slide, widget

WORK = (
    widget(
        "todo",
        "To-do list",
        headings=("What to do next", "@short@ checklist"),
        words="todo task list check chore plan work packing order step inspection duty assign complete reminder errand "
        "project kitchen volunteer",
        asks=(
            "a to-do list whose entries can be added, ticked off and removed",
            "a checklist with the number still open",
        ),
        html=(ENTRY, LIST, OUTPUT),
        css=".done { text-decoration: line-through; }",
        js="""
            const items = load(root, goods());
            const draw = rows(root, items, (item, line, draw) => {
              line.className = item.value ? '' : 'done';
              press(line, 'Done', () => { item.value = item.value ? 0 : 1; draw(); });
              press(line, 'Remove', () => { items.splice(items.indexOf(item), 1); draw(); });
            }, () => {
              save(root, items);
              return items.filter((item) => item.value).length + ' of ' + items.length + ' open';
            });
            ask(root, (text) => { items.push({ name: text, value: 1 }); draw(); });
        """,
    ),
    widget(
        "kanban",
        "Board",
        headings=("The board", "@short@ in three lanes"),
        words="kanban board lane column task project sprint workflow stage pipeline content editor publish approve issue "
        "case lead ticket bug order kitchen triage support shift",
        asks=("a board with three lanes to move cards through", "a kanban board that keeps its state"),
        html=(
            ENTRY,
            '<div class="board" style="--n: 3">',
            "<h3>Open</h3><h3>Doing</h3><h3>Done</h3>",
            "<div></div><div></div><div></div>",
            "</div>",
            OUTPUT,
        ),
        css=".board div { display: grid; gap: 0.4rem; align-content: start; }",
        js="""
            const items = load(root, goods());
            const lanes = root.querySelectorAll('.board div');
            function draw() {
              lanes.forEach((lane) => lane.replaceChildren());
              items.forEach((item) => press(lanes[item.value % 3], item.name, () => { item.value += 1; draw(); }));
              tell(root, items.length + ' cards. A click moves a card on.');
              save(root, items);
            }
            ask(root, (text) => { items.push({ name: text, value: 0 }); draw(); });
            draw();
        """,
    ),
    widget(
        "calculator",
        "Calculator",
        headings=("Calculator", "Work out @short@"),
        words="calculator calculate sum number arithmetic math algebra cost loan mortgage tax tip interest finance equation "
        "fraction compute percentage geometry",
        asks=("a calculator with keys and keyboard input", "a calculator that catches division by zero"),
        html=(BIG, columns(4)),
        js="""
            const acts = { '+': (a, b) => a + b, '-': (a, b) => a - b, '*': (a, b) => a * b, '/': (a, b) => b ? a / b : NaN };
            let [a, sign, b] = ['', '', ''];
            function hit(key) {
              const value = sign && b ? Number(acts[sign](Number(a), Number(b)).toFixed(6)) : b || a;
              if (key === 'C') [a, sign, b] = ['', '', ''];
              else if (acts[key]) [a, sign, b] = [value, key, ''];
              else if (key === '=') [a, sign, b] = ['', '', String(value)];
              else if (!isNaN(b + key)) b = (b + key).slice(0, 9);
              tell(root, [a, sign, b].join(' ').replace('NaN', 'Not possible').trim() || '0');
            }
            keys(root, '789/456*123-0.=+C', hit);
            hit('C');
            ~root.onkeydown = (event) => { if (/^[-0-9.+*/=C]$/.test(event.key)) hit(event.key); };
        """,
    ),
    widget(
        "converter",
        "Converter",
        headings=("Convert it", "Units for @short@"),
        words="convert converter unit currency format measure encode metric mile recipe kitchen chemistry scale temperature "
        "exchange rate travel both",
        asks=("a unit converter that works both ways", "a converter with a check of the number"),
        html=('<label>Value <input type="number" value="10"></label>', BOARD, BIG),
        js="""
            const rates = { 'km to miles': 0.6214, 'miles to km': 1.6093, 'kg to pounds': 2.2046, 'pounds to kg': 0.4536 };
            let [value, name] = [0, 'km to miles'];
            const show = () => tell(root, value + ' ' + name + ': ' + (value * rates[name]).toFixed(2));
            keys(root, Object.keys(rates), (key) => { name = key; show(); });
            slider(root, (number) => { value = number; show(); });
        """,
    ),
    widget(
        "counter",
        "Text tools",
        headings=("Count and change", "Write about @short@"),
        words="text count word character write writing editor note transform case compare clean article essay paragraph "
        "markdown string document letter typing read story outline",
        asks=("a text field that counts words and characters", "text tools for case and order"),
        html=('<label>Text <textarea rows="4"></textarea></label>', OUTPUT),
        js="""
            const input = root.querySelector('textarea');
            function set(text) {
              input.value = text;
              tell(root, text.split(/\\s+/).filter(Boolean).length + ' words, ' + text.length + ' characters');
            }
            press(root, 'Capitals', () => set(input.value.toUpperCase()));
            press(root, 'Sort lines', () => set(input.value.split('\\n').sort().join('\\n')));
            press(root, 'Clear', () => set(''));
            input.oninput = () => set(input.value);
            set(TOPICS.join('\\n'));
        """,
    ),
    widget(
        "password",
        "Password generator",
        headings=("Random and safe", "A code for @short@"),
        words="password generator code random secure key token name pattern mock account sign security encrypt hash id "
        "generate strength",
        asks=("a generator of passwords with a chosen length", "random codes of a chosen length"),
        html=(slide("Length", 8, 32, 16), BIG),
        css=".big { overflow-wrap: anywhere; }",
        why="Math.random can be guessed, this source cannot.",
        js="""
            const signs = 'abcdefghjkmnpqrstuvwxyz23456789!';
            function deal(count) {
              const picks = crypto.getRandomValues(new Uint8Array(count));
              tell(root, [...picks].map((value) => signs[value % 32]).join(''));
            }
            slider(root, deal);
            press(root, 'Another one', () => deal(root.querySelector('output').textContent.length));
        """,
    ),
    widget(
        "gate",
        "Logic gates",
        headings=("Logic gates", "Signals of @short@"),
        words="logic gate circuit switch electronic signal boolean truth lamp machine sensor wire voltage digital binary bit "
        "relay mechanism flag",
        asks=("two switches, a logic gate and a lamp", "logic gates with switches for the signals"),
        html=(BOARD, BIG),
        js="""
            const gates = { AND: (a, b) => a & b, OR: (a, b) => a | b, XOR: (a, b) => a ^ b, NAND: (a, b) => 1 - (a & b) };
            let [a, b, name] = [1, 0, 'AND'];
            const show = () => tell(root, a + ' ' + name + ' ' + b + ' is ' + gates[name](a, b));
            keys(root, Object.keys(gates), (key) => { name = key; show(); });
            press(root, 'Switch A', () => { a = 1 - a; show(); });
            press(root, 'Switch B', () => { b = 1 - b; show(); });
            show();
        """,
    ),
)
