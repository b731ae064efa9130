"""Games: quiz, memory, noughts and crosses, dodge, dice, word guessing."""

from __future__ import annotations

from .record import BIG, BOARD, CANVAS, OUTPUT, QUIET, columns, slide, widget

GAMES = (
    widget(
        "quiz",
        "Quiz",
        headings=("Which figure is higher?", "A quiz on @short@"),
        words="quiz question exam test score learn trivia answer knowledge lesson teach flashcard study practice exercise "
        "pupil school math language grammar science history fraction multiple",
        asks=("a quiz with the score and the right answer", "questions with answers to choose and the score"),
        html=(BOARD, OUTPUT),
        js="""
            let [score, asked] = [0, 0];
            function ask_next() {
              const [a, b] = [0, 1, 2, 3].sort(() => Math.random() - 0.5);
              root.querySelector('.board').replaceChildren();
              keys(root, [TOPICS[a], TOPICS[b]], (name) => {
                score += VALUES[TOPICS.indexOf(name)] >= Math.max(VALUES[a], VALUES[b]);
                asked += 1;
                tell(root, VALUES[a] + ' against ' + VALUES[b] + '. Score ' + score + ' of ' + asked);
                ask_next();
              });
            }
            press(root, 'Reset', () => { [score, asked] = [0, 0]; tell(root, 'Score 0'); });
            tell(root, 'Which figure is higher?');
            ask_next();
        """,
    ),
    widget(
        "memory",
        "Memory game",
        headings=("Find the pairs", "Pairs of @short@"),
        words="memory match pair card game tile puzzle remember solitaire concentration kids child deck flip letter",
        asks=("a memory game with pairs to find", "cards to turn in pairs and a new deal"),
        html=(columns(4), OUTPUT),
        js="""
            let open = [];
            function deal() {
              const faces = [...'AABBCCDD'].sort(() => Math.random() - 0.5);
              root.querySelector('.board').replaceChildren();
              keys(root, '????????', (_, card) => turn(card, faces[[...card.parentNode.children].indexOf(card)]));
              tell(root, 'Turn two cards');
            }
            function turn(card, face) {
              if (open.length > 1 || card.textContent !== '?') return;
              card.textContent = face;
              open.push(card);
              if (open.length > 1) setTimeout(compare, 500);
            }
            function compare() {
              const same = open[0].textContent === open[1].textContent;
              open.forEach((card) => { card.textContent = same ? card.textContent : '?'; });
              open = [];
              tell(root, same ? 'A pair' : 'No pair');
            }
            press(root, 'New round', deal);
            deal();
        """,
    ),
    widget(
        "noughts",
        "Noughts and crosses",
        headings=("Three in a row", "A round of @short@"),
        words="tic tac toe noughts board game turn strategy player two chess opponent grid logic tower duel puzzle",
        asks=("a round of three in a row against the machine", "a board game with turns and a winner"),
        html=(columns(3), OUTPUT),
        js="""
            const cells = keys(root, '\u00b7\u00b7\u00b7\u00b7\u00b7\u00b7\u00b7\u00b7\u00b7', (_, cell) => play(cell));
            const free = () => cells.filter((cell) => cell.textContent === '\u00b7');
            const won = (sign) => ['012', '345', '678', '036', '147', '258', '048', '246']
              .some((row) => [...row].every((at) => cells[at].textContent === sign));
            function play(cell) {
              if (!free().includes(cell) || won('X') || won('O')) return;
              cell.textContent = 'X';
              if (!won('X') && free().length) pick(free()).textContent = 'O';
              tell(root, won('X') ? 'You win' : won('O') ? 'You lose' : free().length + ' left');
            }
            press(root, 'New round', () => cells.forEach((cell) => { cell.textContent = '\u00b7'; }));
        """,
    ),
    widget(
        "dodge",
        "Dodge game",
        headings=("Keep clear", "Dodge: @short@"),
        words="arcade game dodge snake run jump race car platform shoot enemy wave reflex catch ball maze space score life "
        "level player obstacle speed racing sport goal penalty",
        asks=(
            "an arcade round on canvas with arrow keys and buttons",
            "falling balls to dodge, with score and best score",
        ),
        html=(CANVAS, QUIET),
        js="""
            let [x, score, best, balls] = [300, 0, 0, []];
            const move = (by) => { x = Math.min(580, Math.max(20, x + by * 40)); };
            film(root, (pen) => {
              score += 1;
              best = Math.max(best, score);
              if (score % 25 === 0) balls.push({ x: Math.random() * 600, y: 0 });
              balls.forEach((ball) => { ball.y += 3; dot(pen, ball.x, ball.y, 14, '--pop'); });
              dot(pen, x, 240, 18, '--accent');
              if (balls.some((ball) => Math.hypot(ball.x - x, ball.y - 240) < 30)) [score, balls] = [0, []];
              tell(root, 'Score ' + score + ', best ' + best);
            });
            press(root, 'Left', () => move(-1));
            press(root, 'Right', () => move(1));
            ~arrows(root, move);
        """,
    ),
    widget(
        "dice",
        "Dice",
        headings=("Roll the dice", "Chance and @short@"),
        words="dice roll random chance board game probability luck draw lottery coin raffle pick generator name decide",
        asks=("dice to roll with the sum", "a random draw of one entry or of some dice"),
        html=(slide("Number", 1, 6, 2), BIG),
        js="""
            let count = 0;
            slider(root, (value) => { count = value; tell(root, count + ' dice'); });
            press(root, 'Roll', () => {
              const faces = Array.from({ length: count }, () => pick([1, 2, 3, 4, 5, 6]));
              tell(root, faces.join(' + ') + ' = ' + faces.reduce((sum, face) => sum + face));
            });
            press(root, 'Choose for me', () => tell(root, pick(TOPICS)));
        """,
    ),
    widget(
        "word",
        "Word game",
        headings=("Guess the word", "A word from @short@"),
        words="word letter hangman guess spell typing vocabulary alphabet language crossword anagram trivia deduction code "
        "cipher riddle",
        asks=("a word to guess letter by letter", "a guessing game with the tries that were needed"),
        html=(BIG, columns(7)),
        js="""
            let [word, tried] = ['', ''];
            function hit(key) {
              if (!tried.includes(key)) tried += key;
              tell(root, word.replace(/[a-z]/g, (letter) => tried.includes(letter) ? letter : '_') + ' (' + tried.length + ')');
            }
            function deal() {
              [word, tried] = [pick(TOPICS).toLowerCase(), ''];
              hit('');
            }
            keys(root, 'abcdefghijklmnopqrstuvwxyz', hit);
            ~root.onkeydown = (event) => { if (/^[a-z]$/.test(event.key)) hit(event.key); };
            press(root, 'New round', deal);
            deal();
        """,
    ),
    widget(
        "clicker",
        "Clicker game",
        headings=("Click and grow", "Build up @short@"),
        words="idle click clicker upgrade automate grow simulation manage resource factory farm coin economy tycoon produce "
        "incremental city colony kingdom strategy energy plant",
        asks=(
            "a clicker game with upgrades that work on their own",
            "a resource that grows and buys helpers",
        ),
        html=(BIG, BOARD),
        js="""
            let [coins, helpers] = [0, 0];
            const show = () => tell(root, coins + ' coins, ' + helpers + ' helpers');
            choice(root, (at) => {
              if (coins >= at * 10 + 10) [coins, helpers] = [coins - at * 10 - 10, helpers + at + 1];
              show();
            });
            press(root, 'Gather', () => { coins += 5; show(); });
            setInterval(() => { coins += helpers; show(); }, 1000);
            show();
        """,
    ),
    widget(
        "snake",
        "Snake",
        headings=("Snake", "Snake: @short@"),
        words="snake arcade game grow apple arrow maze eat worm tail steer reflex level score player speed wrap",
        asks=("a snake that grows and must not bite itself", "a snake game with buttons and arrow keys"),
        html=(CANVAS, QUIET),
        js="""
            let [snake, apple, step] = [[125, 124, 123], 140, 1];
            film(root, (pen) => [...snake, apple].forEach((at) => dot(pen, at % 30 * 20 + 10, Math.floor(at / 30) * 20 + 10, 9, '--accent')));
            setInterval(() => {
              const head = (snake[0] + step + 390) % 390;
              snake = snake.includes(head) ? [head] : [head, ...snake];
              if (head === apple) apple = pick([...Array(390).keys()]);
              else if (snake.length > 3) snake.pop();
              tell(root, 'Length ' + snake.length);
            }, 150);
            Object.entries({ Left: -1, Up: -30, Down: 30, Right: 1 }).forEach(([way, by]) => press(root, way, () => { step = by; }));
            ~arrows(root, (way) => { step = way || step; });
        """,
    ),
)
