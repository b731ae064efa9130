"""Time: stopwatch, countdown, world clock, month calendar, booking slots, habit grid, timeline."""

from __future__ import annotations

from .record import BOARD, LIST, OUTPUT, QUIET, columns, slide, widget

SEVEN = columns(7)

TIMES = (
    widget(
        "stopwatch",
        "Stopwatch",
        headings=("Stopwatch", "Time for @short@"),
        words="stopwatch lap race time track workout swim run sport training speed measure interval session",
        asks=("a stopwatch with pause and lap times", "a stopwatch whose laps are listed"),
        html=(QUIET, LIST),
        js="""
            let [time, from, laps] = [0, 0, []];
            press(root, 'Start or pause', () => { from = from ? 0 : Date.now(); });
            press(root, 'Lap', () => { laps.push((time / 1000).toFixed(1) + ' s'); fill(root, laps); });
            press(root, 'Reset', () => { [time, from, laps] = [0, 0, []]; fill(root, laps); });
            setInterval(() => {
              if (from) [time, from] = [time + Date.now() - from, Date.now()];
              tell(root, (time / 1000).toFixed(1) + ' s');
            }, 100);
        """,
    ),
    widget(
        "countdown",
        "Countdown",
        headings=("Time left", "Countdown to @short@"),
        words="countdown timer pomodoro focus break interval deadline launch cook minute remaining auction exam "
        "breath meditation alarm kitchen",
        asks=("a countdown with start, pause and more time", "a timer with a message at the end"),
        html=(QUIET,),
        js="""
            let [left, running] = [300, false];
            const draw = () => tell(root, left ? Math.floor(left / 60) + ' min ' + left % 60 + ' s' : 'Time is up');
            press(root, 'Start or pause', () => { running = !running; });
            press(root, 'More', () => { left += 60; draw(); });
            press(root, 'Less', () => { left = Math.max(0, left - 60); draw(); });
            setInterval(() => { if (running && left) left -= 1; draw(); }, 1000);
            draw();
        """,
    ),
    widget(
        "clock",
        "World clock",
        headings=("World clock", "Time for @short@"),
        words="clock zone world watch city timezone meeting remote departure arrival sundial hour",
        asks=("a clock with the time in other cities", "a clock that switches between 12 and 24 hours"),
        html=(QUIET, LIST),
        js="""
            let hour12 = false;
            const time = (timeZone) => new Date().toLocaleTimeString('en', { timeZone, hour12 });
            function draw() {
              tell(root, time());
              fill(root, ['Asia/Tokyo', 'Europe/Paris', 'America/Lima'].map((zone) => zone + ' ' + time(zone)));
            }
            press(root, '12 or 24 hours', () => { hour12 = !hour12; draw(); });
            setInterval(draw, 1000);
            draw();
        """,
    ),
    widget(
        "calendar",
        "Month calendar",
        headings=("Calendar", "Dates for @short@"),
        words="calendar month date day event shift rota schedule holiday leave meeting planner agenda appointment week "
        "garden season sow availability",
        asks=("a month calendar with days to mark", "a calendar that turns from month to month"),
        html=(OUTPUT, SEVEN),
        js="""
            let month = new Date().getMonth();
            function draw() {
              const last = new Date(new Date().getFullYear(), month + 1, 0);
              root.querySelector('.board').replaceChildren();
              const days = Array.from({ length: last.getDate() }, (_, day) => day + 1);
              keys(root, days, (day, cell) => mark(cell, cell.ariaPressed !== 'true'));
              tell(root, last.toLocaleDateString('en', { month: 'long', year: 'numeric' }));
            }
            press(root, 'Back', () => { month -= 1; draw(); });
            press(root, 'Next', () => { month += 1; draw(); });
            draw();
        """,
    ),
    widget(
        "booking",
        "Booking slots",
        headings=("Choose a time", "Book @short@"),
        words="booking book reserve reservation slot seat room appointment table court hall ticket visit tour treatment "
        "desk parking hotel restaurant clinic salon",
        asks=("time slots of which one can be booked", "a booking of a free slot with a confirmation"),
        html=("<label>Subject <select></select></label>", BOARD, OUTPUT),
        js="""
            const select = root.querySelector('select');
            select.append(...TOPICS.map((name) => make('option', name)));
            keys(root, VALUES.map((value) => value % 12 + 8 + ':00'), (time, cell) => {
              cell.disabled = true;
              tell(root, select.value + ' is booked for ' + time);
            });
        """,
    ),
    widget(
        "habit",
        "Habit grid",
        headings=("Seven days", "@short@, day by day"),
        words="habit streak daily week mood tracker log routine water sleep medication practice exercise goal attendance "
        "chore diary journal fitness",
        asks=("a grid of seven days to tick", "a week grid that counts what was done"),
        html=(SEVEN, OUTPUT),
        css=".board h3 { grid-column: 1 / -1; }",
        js="""
            let done = 0;
            TOPICS.forEach((name) => {
              root.querySelector('.board').append(make('h3', name));
              keys(root, 'MTWTFSS', (day, cell) => {
                mark(cell, cell.ariaPressed !== 'true');
                done += cell.ariaPressed === 'true' ? 1 : -1;
                tell(root, done + ' of 28 done');
              });
            });
        """,
    ),
    widget(
        "timeline",
        "Timeline",
        headings=("How it came about", "The story of @short@"),
        words="timeline history era century year story biography milestone roadmap change release programme schedule "
        "journey delivery order track evolution epoch career process",
        asks=("a timeline with a slider through the years", "a timeline that shows one entry at a time"),
        html=(LIST, slide("Year", 0, 3, 0), OUTPUT),
        js="""
            slider(root, (at) => {
              fill(root, TOPICS.slice(0, at + 1).map((name, i) => 1960 + i * 15 + ' ' + name));
              tell(root, NOTES[at]);
            });
        """,
    ),
)
