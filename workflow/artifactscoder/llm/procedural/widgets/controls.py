"""Controls of an interface: tabs, accordion, dialog, form, settings, rating, carousel, live search."""

from __future__ import annotations

from .record import BIG, BOARD, LIST, OUTPUT, columns, widget

CONTROLS = (
    widget(
        "tabs",
        "Tabs",
        headings=("One topic at a time", "Parts of @short@"),
        words="tab panel section chapter guide manual reference documentation switch view profile product",
        asks=("tabs that switch the content", "a tab bar with one panel for each part"),
        html=(BOARD, OUTPUT),
        js="""
            choice(root, (at) => tell(root, TOPICS[at] + ': ' + NOTES[at])).click();
        """,
    ),
    widget(
        "accordion",
        "Questions and answers",
        headings=("Questions and answers", "More about @short@"),
        words="accordion faq question answer help support fold collapse rule story archive note detail",
        asks=(
            "folding sections that open one by one or all at once",
            "an accordion of questions and answers",
        ),
        html=(BOARD,),
        js="""
            const parts = TOPICS.map((name, at) => {
              const part = root.querySelector('.board').appendChild(make('details'));
              part.append(make('summary', name), make('p', NOTES[at]));
              return part;
            });
            press(root, 'Open or close all', () => parts.forEach((part) => part.toggleAttribute('open')));
        """,
    ),
    widget(
        "modal",
        "Details in a dialog",
        headings=("Choose one for its details", "Details of @short@"),
        words="modal dialog popup window confirm overlay gallery work project portfolio exhibit card",
        asks=("cards that open their details in a dialog", "a dialog that closes with Escape"),
        html=(BOARD, '<dialog><form method="dialog"><p></p><button>Close</button></form></dialog>', OUTPUT),
        css="dialog { margin: auto; padding: 2rem; }",
        js="""
            choice(root, (at) => {
              root.querySelector('dialog p').textContent = NOTES[at];
              root.querySelector('dialog').showModal();
              tell(root, TOPICS[at]);
            });
        """,
    ),
    widget(
        "form",
        "Form",
        headings=("Write to us", "Ask about @short@"),
        words="form register registration sign contact enquiry application survey member volunteer payment request "
        "ticket onboarding account valid field invoice apply login donate rsvp checkout",
        asks=(
            "a form whose fields are checked with a message",
            "a validated form with name, e-mail and subject",
        ),
        html=(
            "<form novalidate>",
            '<label>Name <input name="name" required></label>',
            '<label>E-mail <input name="mail" type="email" required></label>',
            "<label>Subject <select></select></label>",
            "<button>Send</button>",
            "</form>",
            OUTPUT,
        ),
        js="""
            root.querySelector('select').append(...TOPICS.map((name) => make('option', name)));
            root.querySelector('form').onsubmit = (event) => {
              event.preventDefault();
            ~  const wrong = root.querySelector('input:invalid');
            ~  if (wrong) return tell(root, 'Please check your ' + wrong.name + '.');
              tell(root, 'Thank you, it is noted.');
              event.target.reset();
            };
        """,
    ),
    widget(
        "settings",
        "Settings",
        headings=("Your settings", "Settings of @short@"),
        words="setting preference option privacy account profile notification configure custom toggle consent",
        asks=("settings that are kept for the next visit", "switches that are remembered"),
        html=(BOARD, OUTPUT),
        js="""
            const kept = load(root, []);
            const buttons = keys(root, TOPICS, (name, button) => {
              const at = TOPICS.indexOf(name);
              kept[at] = !kept[at];
              mark(button, kept[at]);
              tell(root, name + (kept[at] ? ' is on.' : ' is off.'));
              save(root, kept);
            });
            buttons.forEach((button, at) => mark(button, Boolean(kept[at])));
            tell(root, kept.filter(Boolean).length + ' of 4 on');
        """,
    ),
    widget(
        "rating",
        "Star rating",
        headings=("What do you think?", "Rate @short@"),
        words="rating rate star review feedback vote opinion recommend critic guest hotel recipe book film poll",
        asks=("a star rating with the mean of all votes", "stars to vote with and the number of votes"),
        html=(columns(5), BIG),
        js="""
            const votes = load(root, [5, 4, 4]);
            function draw() {
              const mean = votes.reduce((sum, vote) => sum + vote) / votes.length;
              tell(root, '\u2605'.repeat(mean) + ' ' + mean.toFixed(2) + ' (' + votes.length + ')');
              save(root, votes);
            }
            keys(root, '12345', (key) => { votes.push(Number(key)); draw(); });
            draw();
        """,
    ),
    widget(
        "carousel",
        "Carousel",
        headings=("In the spotlight", "A tour of @short@"),
        words="carousel slide slideshow gallery photo picture swipe presentation onboarding tour story hero present image "
        "room speaker film video preview",
        asks=("a carousel that moves back and forth", "slides with a counter and a way back"),
        html=('<output class="big slide"></output>',),
        css=".slide { padding: 4rem 1rem; text-align: center; background: var(--bg); }",
        js="""
            let at = 0;
            function move(by) {
              at = (at + by + 4) % 4;
              tell(root, TOPICS[at] + ', ' + (at + 1) + ' of 4');
            }
            press(root, 'Back', () => move(-1));
            press(root, 'Next', () => move(1));
            ~arrows(root, move);
            move(0);
        """,
    ),
    widget(
        "search",
        "Live search",
        headings=("Find it", "Search @short@"),
        words="search find filter list directory catalogue library product listing glossary lookup browse archive "
        "dictionary index menu phrase vocabulary contact",
        asks=("a live search that narrows the list while typing", "a search box with the number of hits"),
        html=("<label>Search <input></label>", LIST, OUTPUT),
        js="""
            const input = root.querySelector('input');
            input.oninput = () => {
              const found = TOPICS.filter((name) => name.toLowerCase().includes(input.value.toLowerCase()));
              fill(root, found);
              tell(root, found.length ? found.length + ' found' : 'Nothing found');
            };
            input.oninput();
        """,
    ),
)
