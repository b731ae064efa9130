"""People and trade: chat, feed, cart, plans, account."""

from __future__ import annotations

from .record import BIG, BOARD, ENTRY, LIST, OUTPUT, widget

PEOPLE = (
    widget(
        "chat",
        "Chat",
        headings=("Conversation", "Talk about @short@"),
        words="chat message conversation bot assistant talk support channel call inbox reply dialogue community messenger "
        "thread listening",
        asks=("a chat with replies and a typing notice", "a message box that answers after a moment"),
        html=(LIST, ENTRY, OUTPUT),
        js="""
            const lines = ['Guest: ' + TOPICS[0] + '?', 'Host: ' + NOTES[0]];
            function add(text) {
              lines.push(text);
              fill(root, lines.slice(-6));
              tell(root, lines.length + ' messages');
            }
            ask(root, (text) => {
              add('You: ' + text);
              tell(root, 'Typing ...');
              setTimeout(() => add('Host: ' + pick(NOTES)), 700);
            });
            add('Guest: ' + TOPICS[1] + '?');
        """,
    ),
    widget(
        "feed",
        "Feed",
        headings=("Latest posts", "News about @short@"),
        words="feed post social like story reaction news timeline blog article comment follow share community club "
        "campaign magazine announcement wall forum vote thread poll",
        asks=("a feed with posts, likes and new entries", "posts that can be liked and written"),
        html=(ENTRY, LIST, OUTPUT),
        js="""
            const items = goods();
            const draw = rows(root, items, (item, line, draw) => {
              press(line, 'Like ' + item.value, () => { item.value += 1; draw(); });
            }, () => items.length + ' posts');
            ask(root, (text) => { items.unshift({ name: text, value: 0 }); draw(); });
        """,
    ),
    widget(
        "cart",
        "Cart",
        headings=("Your cart", "@short@ to take home"),
        words="cart shop store product checkout order buy price basket sell food menu meal delivery storefront market "
        "ticket merchandise restaurant grocery wish drink dish auction bid seller",
        asks=("a cart with quantities and a running total", "products to add and a total"),
        html=(LIST, BIG),
        js="""
            const items = goods().map((item) => ({ ...item, count: 1 }));
            rows(root, items, (item, line, draw) => {
              line.append(', ' + item.count + ' at ' + money(item.value));
              press(line, 'More', () => { item.count += 1; draw(); });
              press(line, 'Less', () => { item.count = Math.max(0, item.count - 1); draw(); });
            }, () => 'Total ' + money(items.reduce((sum, item) => sum + item.count * item.value, 0)));
        """,
    ),
    widget(
        "plans",
        "Plans",
        headings=("Choose a plan", "Prices for @short@"),
        words="pricing plan subscription monthly yearly tier price compare upgrade cancel member offer landing product "
        "saas trial package insurance launch sponsor donation",
        asks=("plans with monthly and yearly prices", "a price list with a switch for the year"),
        html=(BOARD, OUTPUT),
        js="""
            function show(months) {
              root.querySelector('.board').replaceChildren();
              VALUES.forEach((value, at) => press(root.querySelector('.board'), TOPICS[at] + ' ' + money(value * months), () => {
                tell(root, TOPICS[at] + ' is chosen.');
              }));
            }
            press(root, 'Monthly', () => show(1));
            press(root, 'Yearly', () => show(10));
            show(1);
        """,
    ),
    widget(
        "bill",
        "Account",
        headings=("The account", "What @short@ costs"),
        words="bank account transfer payment expense budget cash flow statement invoice money wallet saving bill debt finance "
        "card balance income receipt split payroll",
        asks=("an account with entries and the balance", "amounts that add up to a balance"),
        html=(ENTRY, LIST, BIG),
        js="""
            const items = goods();
            const draw = rows(root, items, (item, line, draw) => {
              line.append(': ' + money(item.value));
              press(line, 'Remove', () => { items.splice(items.indexOf(item), 1); draw(); });
            }, () => 'Total ' + money(items.reduce((sum, item) => sum + item.value, 0)));
            ask(root, (text) => { items.push({ name: text, value: parseFloat(text) || 0 }); draw(); });
        """,
    ),
    widget(
        "votes",
        "Votes",
        headings=("The vote", "What matters in @short@?"),
        words="vote poll forum question thread answer rank moderation election decide opinion survey debate proposal council "
        "petition community best candidate suggestion",
        asks=("a vote with shares that change at once", "up and down votes for each entry"),
        html=(LIST, OUTPUT),
        js="""
            const items = goods();
            const total = () => items.reduce((sum, item) => sum + item.value, 0);
            rows(root, items, (item, line, draw) => {
              line.append(': ' + Math.round(item.value / total() * 100) + ' %');
              press(line, 'Up', () => { item.value += 5; draw(); });
              press(line, 'Down', () => { item.value = Math.max(1, item.value - 5); draw(); });
            }, () => total() + ' votes');
        """,
    ),
    widget(
        "bids",
        "Auction",
        headings=("Place your bid", "Bid for @short@"),
        words="auction bid marketplace sell seller buyer offer lot negotiate second hand price trade exchange estate house "
        "collect art deal",
        asks=("an auction with a smallest step for bids", "bids that are checked and listed"),
        html=(
            '<form><label>Your bid <input inputmode="numeric"></label> <button>Bid</button></form>',
            LIST,
            OUTPUT,
        ),
        js="""
            const bids = [VALUES[0]];
            function show() {
              fill(root, bids.slice(0, 5).map((bid, at) => (at ? 'Before: ' : 'Now: ') + money(bid)));
              tell(root, 'For ' + TOPICS[0] + ', ' + (bids.length - 1) + ' of them yours');
            }
            ask(root, (text) => {
            ~  if (!(Number(text) >= bids[0] + 5)) return tell(root, 'Please bid ' + money(bids[0] + 5) + ' or more.');
              bids.unshift(Number(text));
              show();
            });
            show();
        """,
    ),
)
