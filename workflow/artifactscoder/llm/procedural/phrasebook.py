"""Sentence parts for the procedural task texts. `{}`-holes are filled by ideas.py; nothing here is specific to a topic."""

from __future__ import annotations

AUDIENCES = (
    "volunteers", "beginners", "families", "small teams", "night shifts", "school classes", "commuters", "students",
    "a village club", "local shops", "freelancers", "coaches", "a reading group", "first-time users", "neighbours",
    "a museum desk", "older people", "researchers", "collectors", "a festival crew", "apprentices", "travellers",
    "a training room", "busy parents", "a front desk", "weekend groups",
)  # fmt: skip

# Titles; {name} is the subcategory, {thing} a phrase of its brief, {who} an audience without article.
TITLES = (
    "{name} for {who}",
    "{thing} in {name}",
    "{name}: {thing}",
    "{name} with {thing}",
    "{thing} and {other} for {who}",
    "Pocket {name} for {who}",
    "{thing} for {who}",
    "{name}, {thing} First",
    "Quiet {name} for {who}",
    "{name} and {thing}",
)

PURPOSES = (
    "A page for {who} about {name}.",
    "{who} get a tool for {name}.",
    "Build {name} for {who}, ready to use without an introduction.",
    "Make {name} that {who} open several times a day.",
    "Create {name} for {who} who have little time and a small screen.",
    "Design {name} that explains itself to {who}.",
)

CONTENTS = (
    "It is about {things}.",
    "Its subjects are {things}.",
    "What matters most: {things}.",
    "People come for {things}.",
    "Show {things} as parts of one whole.",
)

PARTS = (
    "Offer {asks}.",
    "The main part is {asks}.",
    "It works through {asks}.",
    "Put {asks} in the centre.",
    "Include {asks}.",
)

LIMITS = (
    "Empty or wrong input gets a short message next to the field.",
    "When nothing is left to show, say so and offer a way back.",
    "Entries survive a reload where the browser allows it.",
    "Every step can be taken back, and the numbers follow at once.",
    "Extreme values stay inside their limits and never break the page.",
    "All controls work by keyboard and name what they do.",
    "Start with believable sample data, four entries at least.",
    "Results change at once, without a reload or a separate button.",
)

# What each kind of variant adds; {a} and {b} are phrases of the task.
KINDS: dict[str, tuple[str, ...]] = {
    "colour-scheme": (
        "Give it one colour world of inky dark blue with warm gold for {a}, and a second theme in sun-bleached paper; "
        "a switch changes the colour scheme and is remembered.",
        "The colour scheme is two-ink print in red and navy on cream, accents reserved for {a}; a theme switch offers "
        "a dark counterpart with the same roles.",
        "Use a forest green colour scheme with soft paper grounds, {a} in a strong second colour, and light and dark "
        "themes one click apart.",
    ),
    "layout": (
        "Arrange it as a split screen: {a} dominates one half because it is used most, {b} stays beside it and never "
        "scrolls out of sight.",
        "Lay it out as a sidebar workspace in which {a} fills the wide side and everything else waits in the narrow one.",
        "Turn it into a card mosaic like a bento box: {a} takes the largest tile, {b} the next, notes the small ones.",
        "Set it like a magazine front page with one large headline, {a} in the wide column and {b} in the narrow one.",
    ),
    "interaction-mode": (
        "Its main way of operating is the keyboard: shortcuts lead from part to part, arrow keys move through {a}, and "
        "a visible list names every keyboard shortcut.",
        "It is driven by gestures: a swipe goes from part to part, {a} answers to dragging, and each gesture has a "
        "button and a keyboard shortcut beside it.",
    ),
    "responsive": (
        "Design for small screens first: on a phone one column with {a} on top and touch-sized buttons, on a tablet "
        "two columns, on a wide desktop {b} beside it; the responsive layout never scrolls sideways.",
        "Make it responsive in three steps: phone with {a} alone, tablet with {b} below, desktop with both side by "
        "side; targets stay large enough for a thumb.",
    ),
    "animation": (
        "Motion explains what happens: cards rise when they enter, a change in {a} eases over half a second, and the "
        "result settles softly; all animation stops under reduced motion.",
        "Add purposeful animation for entry, change and result of {a}, short and interruptible, with a calm version "
        "for people who prefer reduced motion.",
    ),
    "accessibility": (
        "Accessibility leads the design: full keyboard use, announcements for screen readers when {a} changes, large "
        "type and strong contrast at a click, text beside every colour.",
        "Write it for people who rely on a screen reader or large type: clear landmarks, labelled controls, a text "
        "alternative for {a}, and a high contrast setting.",
    ),
    "advanced-features": (
        "Add what experienced users ask for: undo history for {a}, import and export as a file, and saved views that "
        "bring {b} back as it was.",
        "For power users it offers bulk actions on {a}, an export of all data and an undo history of the last changes.",
    ),
    "minimalist": (
        "Keep it minimal: one screen, few controls, generous empty space, {a} alone in the middle; leave everything "
        "out that does not serve this essential purpose.",
        "Reduce it to the essential purpose: restrained type, one accent colour, few controls, and {a} as the only "
        "thing on screen.",
    ),
    "data-visualisation": (
        "Its information is read from graphics: a chart of {a} with the values at the bars, a second diagram for "
        "{b}, and the same data as a table for those who prefer text.",
        "Show {a} as a visualisation with honest scale and legend, link it to a chart of {b}, and give details on "
        "demand for each mark.",
    ),
    "real-time": (
        "Contents change by themselves in real time: a simulated live source updates {a} every second, a pause holds "
        "it, and values above the limit are marked.",
        "A live feed drives {a} in real time, with the freshness of the last update in view and a pause that never "
        "loses what arrived.",
    ),
    "gamification": (
        "Gamification supports the purpose: each action on {a} earns points, badges appear at fair steps, and the "
        "rules are told in one sentence.",
        "Add game elements with honest rewards: points for {a}, three badges, and a view of what comes next, all of "
        "it easy to ignore.",
    ),
    "internationalisation": (
        "It speaks three languages, one of them right to left: a language switch changes texts, dates and numbers "
        "for {a}, and longer words still fit.",
        "Internationalisation comes first: a switch between three languages, local dates and numbers beside {a}, and "
        "a mirrored layout where reading runs right to left.",
    ),
}

FACETS = (
    "planning", "records", "basics", "costs", "safety", "history", "tools", "schedules", "quality", "training",
    "reports", "maps", "stories", "repairs", "standards", "supplies", "seasons", "teams", "customers", "risks",
    "inspections", "forecasts", "experiments", "materials", "routes", "events", "archives", "habits", "comparisons",
    "games", "exercises", "measurements", "deadlines", "checklists", "budgets", "diagrams", "simulations", "guides",
    "questions", "bookings", "catalogues", "layouts", "signals", "resources", "practice", "decisions", "feedback",
    "trends", "workshops", "puzzles", "exhibits", "services", "outreach", "storage", "energy use", "waste", "careers",
    "first steps", "common mistakes", "daily routines",
)  # fmt: skip
FACET_FORMS = ("{core} {facet}", "{core} {facet} at home", "{core} {facet} for teams", "local {core} {facet}")

OPENINGS = (
    "Build a web page about {topic}.",
    "Create a single-file page on {topic} for {audience}.",
    "I need a small site about {topic}.",
    "Could you make something for {topic} that {audience} enjoy using?",
    "Write one HTML file that presents {topic} in a {style} way.",
    "We are a small group working on {topic} and want a page for {audience}.",
    "Page wanted: {topic}.",
    "Design a {style} interface for {topic}.",
    "As a teacher I want a page that makes {topic} tangible.",
    "Please put together an interactive page: {topic}, seen by {audience}.",
    "Develop a self-contained tool around {topic}.",
    "Imagine {audience} meeting {topic} for the first time; make the page they see.",
    "Our old page on {topic} is hard to use. Make a {style} new one.",
    "Sketch and code a page for {topic}.",
    "Turn {topic} into a page one wants to explore.",
    "A dashboard for {topic}, {style}, please.",
)
WISHES = (
    "It needs {feature}.",
    "Most of all it should offer {feature}.",
    "Add {feature} and keep the rest simple.",
    "{audience} will use it on their phones.",
    "Keep the look {style}.",
    "The centre of the page is {feature}.",
    "Use sample data that sounds real, and let people change it.",
    "Everything must work by keyboard too.",
    "No libraries, no network, HTML, CSS and JavaScript in one file.",
    "Make {feature} work from start to end, with a message when input is wrong.",
    "Think of {audience} who see it for two minutes.",
    "Style: {style}. Behaviour: {feature}.",
)

LOOKS = (
    "calm with much empty space and one accent colour",
    "warm, with paper tones and a serif for the headings",
    "dark, with light figures and clear edges",
    "bright and friendly with round corners",
    "strict like a printed table, with thin lines",
)
SCREENS = (
    "On a phone the parts stand below each other and buttons are large enough for a thumb.",
    "Below 700 pixels it becomes one column without sideways scrolling.",
    "On narrow screens the side part moves under the main one.",
)
ACCESS = (
    "Use landmarks and labels, show the keyboard focus, and announce changes politely.",
    "Headings follow an order, controls have names, and contrast is at least 4.5 to 1.",
    "Everything works by keyboard, and motion stops for people who ask for less of it.",
)
