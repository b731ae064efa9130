"""Masking: what is secret or a person's goes, in its place stands something that works, and nothing else is touched."""

from __future__ import annotations

import base64
import json
import random
import re
import time

import pytest

from artifactscoder.html import mask, validate
from artifactscoder.html.mask import Mask
from artifactscoder.llm.procedural.compose import compose

# In two halves, so that no scanner takes the test for a leak.
AWS = "AKIA" + "Q3EGVZ7WJ5MNP2RT"
GITHUB = "ghp_" + "aB3dE6gH9jK2mN5pQ8rS1tU4vW7xY0zA3bC6"
OPENAI = "sk-" + "proj-Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7cDe0f"
SLACK = "xoxb-" + "263594206564-2343594206574-FGqddMF8t08v8N7Oq4i57vs1"
GOOGLE = "AIza" + "SyD3fG6hJ9kL2zX5cV8bN1mQ4wE7rT0yU3i"
STRIPE = "sk_" + "live_4eC39HqLyjWDarjtT1zdp7dcAbCd"
KEY_BODY = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj" * 3
BEGIN, END = "-----BEGIN PRIVATE" + " KEY-----", "-----END PRIVATE KEY-----"
HEAD = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
BODY = base64.urlsafe_b64encode(b'{"sub":"42","name":"Ana Real"}').decode().rstrip("=")
JWT = f"{HEAD}.{BODY}.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c"


@pytest.mark.parametrize(
    ("rule", "text", "after"),
    [
        ("email", '<a href="mailto:ana.ruiz@gmail.com">Ana.Ruiz@gmail.com</a>', "user@example.com.*user@example"),
        ("email", "const to = 'j.meier@uni-ulm.de';", "'user@example.com';"),
        ("phone", '<a href="tel:+34612345678">+34 612 345 678</a>', '"tel:555-0100">555-0100<'),
        ("phone", "<p>Call (415) 867-5309 today.</p>", "Call 555-0100 today"),
        ("phone", "<p>Tel.: 030 2345 6789</p>", "Tel.: 555-0100<"),
        ("phone", "<td>138-1234-9876</td>", "<td>555-0100</td>"),
        ("phone", '<input type="tel" placeholder="+49 30 90182010">', 'placeholder="555-0100"'),
        ("ipv4", "<td>185.199.108.153</td>", "<td>203.0.113.1</td>"),
        ("ipv4", "<script>const host = '51.15.242.202:8080';</script>", "'203.0.113.1:8080'"),
        ("ipv4", "fetch('http://51.15.242.202/api')", "//203.0.113.1/api"),
        ("aws_key", f"<script>const k = '{AWS}';</script>", "'AKIAIOSFODNN7EXAMPLE'"),
        ("aws_secret", "AWS_SECRET_ACCESS_KEY=kWcrlUX5JEDGM0LtmENI1aVmYvHNif5zBd3ct81S", "KEY=wJalrXUtnFEMI"),
        ("github_token", f"token: {GITHUB}", "token: ghp_EXAMPLE"),
        ("openai_key", f'"Authorization": "Bearer {OPENAI}"', '"Bearer sk-EXAMPLE"'),
        ("slack_token", f"'{SLACK}'", "'xoxb-EXAMPLE'"),
        ("google_key", f"maps/api/js?key={GOOGLE}&v=3", "key=AIzaEXAMPLE0+&v=3"),
        ("stripe_key", f"Stripe('{STRIPE}')", r"Stripe\('sk_test_EXAMPLE'\)"),
        ("slack_hook", "//hooks.slack.com/services/T0A1B2C3D/B0A1B2C3D/" + "x7Yq" * 6, "T00000000/B00000000/EXAMPLE"),
        ("jwt", f"localStorage.token = '{JWT}'", "'eyJhbGciOiJub25lIn0"),
        ("url_password", "postgres://shop:hunter2-X9@db.shop.io:5432/x", "postgres://user:password@db.shop.io"),
        ("private_key", f"{BEGIN.replace(' P', ' RSA P')}\n{KEY_BODY}\n{END.replace(' P', ' RSA P')}", "--MASKED--"),
        ("private_key", f"'{BEGIN}\\n' +\n '{KEY_BODY}' + '{END}'", "^'-----BEGIN[^']*'$"),
        ("card", "<p>4539 1488 0343 6467</p>", r"<p>4000 0000 0000 \d{4}</p>"),
        ("card", "<script>const pan = '4539-1488-0343-6467'</script>", r"'4000-0000-0000-\d{4}'"),
        ("iban", "<p>DE44 5001 0517 5407 3249 31 (BIC)</p>", r"<p>GB\d\d WEST 1234 5698 7654 32 \(BIC\)</p>"),
        ("iban", "<p>ES9121000418450200051332</p>", r"<p>GB\d\dWEST12345698765432</p>"),
    ],
)  # fmt: skip
def test_what_is_found_is_replaced_by_something_of_its_kind(rule: str, text: str, after: str) -> None:
    one = Mask()
    new = one.text(text)
    assert re.search(after, new, re.DOTALL), new
    assert one.counts == {rule: 1}
    assert Mask().text(new) == new, "a masked text is masked"


FONT = base64.b64encode(random.Random(1).randbytes(6000)).decode()
HARMLESS = [
    "<p>Write to info@example.com, you@company.com, name@domain.org, test@localhost.test or user@shop.example</p>",
    "<script src='https://cdn.jsdelivr.net/npm/chart.js@4.4.0/dist/chart.umd.min.js'></script>",
    "import x from 'https://unpkg.com/vue@next.js'; const icon = 'logo@2x.png'; /* @media */",
    "<style>@media (max-width:600px){a{color:#0040123456;margin:-1.5.5px}} @import url(x.css);</style>",
    '<svg viewBox="0 0 1200 600"><path d="M192.168.33.44 51.15.242.202c1.5.5.5 4155552671 867.530.9.1z"/>'
    "<text>415-867-5309</text></svg>",
    '<path d="M10.5 185.199.108.153 4539148803436467"/>',
    f"<style>@font-face{{src:url(data:font/woff2;base64,{FONT})}}</style>",
    f'<img src="data:image/png;base64,{FONT}AKIA{FONT[:16]}">',
    "<script>const t=1700000000000,u=4539148803436467,v=14155552671,w=0x4155552671,p=[415,867,5309,185.199,108.153];"
    "x=+34612345678;y='+34612345678'.length;n=9007199254740993n;</script>",
    "<script>!function(e,t){e.exports=t(4155552671,1e21,2147483647,-867.5309)}({a:1.2,b:51.15},'10.20.30.40')</script>",
    "<p>Version 4.17.21.1, Chrome/120.0.0.0, v185.199.108.153, build 51.15.242.202, 1.2.3.4, 10.0.19041.1</p>",
    "<p>127.0.0.1 192.168.100.20 10.200.3.4 172.16.200.1 169.254.100.1 255.255.255.0 203.0.113.7 999.1.1.300</p>",
    "<p>Total +1.234.567.890 and +1 234 567, 2024-01-15 10:30, 12:34:56.7, 3.14159265358979, ISBN 978-3-16-14841-0</p>",
    "<p>Call (555) 123-4567, 415-555-0132, +1 555 010 0199, 123-456-7890 or +44 7700 900123</p>",
    "<p>Card 4242 4242 4242 4242, 4111-1111-1111-1111, 1234 5678 9012 3456, order 4539 1488 0343 6468</p>",
    "<p>IBAN DE89 3704 0044 0532 0130 00, GB82 WEST 1234 5698 7654 32, DE44 5001 0517 5407 3249 32</p>",
    "<div class='sk-folding-cube sk-cube1 sk-circle-fade-dot'></div> task-0123456789-abcdefghij0123456789abcdefghij",
    "git clone git@github.com:a/b.git; const oids = ['2.5.29.35', '1.3.6.1'];",
    "const url = `https://${user}:${password}@${host}`; 'https://user:password@host.com'; 'http://localhost:3000/@vite'",
    "/^[^\\s@]+@[^\\s@]+\\.[^\\s@]+$/.test(v); /[a-z0-9._%+-]+@[a-z0-9.-]+\\.[a-z]{2,}/i",
    "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA\n-----END PUBLIC KEY-----",
    "'-----BEGIN PRIVATE KEY-----\\n...\\n-----END PRIVATE KEY-----'",
    "ASIAPACIFICREGIONALS eyJhbGciOiJub25lIn0.eyJzdWIiOiJleGFtcGxlIn0.ZXhhbXBsZS1zaWduYXR1cmU",
    "<link integrity='sha384-" + FONT[:64] + "' data-id='550e8400-e29b-41d4-a716-446655440000' id='a4155552671b'>",
    "<!-- 415-867-5309 of the layout grid: 12 columns --><rect x='415' y='867' width='5309'/>",
    "<p>$415 867-5309</p><p>#415-867-5309</p><p>Phone model 12, tel 3 of 10, call 911 now</p>",
    "<td>1 234 567 890 people</td><td>4155552671</td><td>+12.5 %</td><td>+1 200 300 400 €</td>",
]  # fmt: skip


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert Mask().text(text) == text


def test_a_page_of_parts_composed_here_is_never_touched() -> None:
    subjects = ("shop checkout with cards", "contact directory", "server status", "payments by IBAN", "an SVG clock")
    for number in range(60):
        page = compose(f"Make a page about {subjects[number % 5]}, edition {number}", number, 1.0)
        assert Mask().text(page) == page


def test_equal_values_get_equal_placeholders_in_prompt_page_and_answer() -> None:
    page = (
        "<!DOCTYPE html><html><body><ul><li>ana@firm.io</li><li>BOB@firm.io</li></ul><script>\n"
        "const people = {'ana@firm.io': 'Ana', 'bob@firm.io': 'Bob'};\n</script></body></html>"
    )
    row = {"id": "a/1", "prompt": "A list with bob@firm.io.", "html": page, "answer": f"Here it is.\n{page}"}
    new, detail = mask.masked(row, ["prompt", "html", "answer"])
    assert detail == "masked: 2 email" and new["id"] == "a/1"
    assert new["prompt"] == "A list with user@example.com." and new["html"] in new["answer"]
    assert "{'user2@example.com': 'Ana', 'user@example.com': 'Bob'}" in new["html"]
    assert not any(validate.javascript_error(script) for script in validate.scripts(new["html"]))


def test_placeholders_pass_the_checks_that_a_page_may_make() -> None:
    cards = ["4539 1488 0343 6467", "5425 2334 3010 9903", "3796 001234 56782"]
    new = Mask().text(f"<p>{'</p><p>'.join(cards)}</p>")
    found = [re.sub(r"\D", "", text) for text in re.findall(r"<p>([\d ]+)</p>", new)]
    assert len(set(found)) == 3 and not any(mask._luhn(number) for number in found)
    spaced = Mask().text("<p>DE44 5001 0517 5407 3249 31</p>")[3:-4]
    assert mask._mod97(spaced.replace(" ", "")) == 1
    head = Mask().text(JWT).split(".")[0]
    assert json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))["alg"] == "none"


def test_every_rule_has_an_example_above() -> None:
    marks = test_what_is_found_is_replaced_by_something_of_its_kind.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == set(mask.rules())


HOSTILE = [
    "<a " * 20_000, '"' * 50_000, "<script>" * 5000, "+1 " * 20_000, "a@" * 30_000, "1." * 40_000, "A0 " * 20_000,
    "(" * 30_000 + "415", "tel " * 9000, "x://" * 9000, BEGIN * 900, "4111 " * 9000, "aws secret " * 5000,
    "a.b-c@d." * 9000, "eyJ" * 20_000, "value='" * 9000,
]  # fmt: skip


def test_a_hostile_page_takes_no_longer() -> None:
    for text in HOSTILE:
        start = time.process_time()
        Mask().text(text)
        assert time.process_time() - start < 3, text[:20]
