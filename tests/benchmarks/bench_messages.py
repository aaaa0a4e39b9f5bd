"""How many messages are made in a second, in each language? `python -m tests.benchmarks.bench_messages [people]`"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from liquid import Environment

from tailrace.campaigns.render import Renderer
from tests.campaigns.conftest import Project
from tests.campaigns.test_liquid import CART, COPY

MARKDOWN = """\
---
subject: "{% if customer.first_name %}{{ customer.first_name|capitalize }}, your{% else %}Your{% endif %} cart"
---
Hi {{ customer.first_name|default('friend') }},
{% if customer.plan is defined and customer.plan == 'pro' and event.total >= 100 %}

Pro members ship free.
{% else %}

Shipping is {{ event.shipping|default(5)|round(2) }}.
{% endif %}
{% for item in event.items|take(3) %}
- {{ loop.index }}. {{ item.name }}{% if item.color %} ({{ item.color }}){% endif %}

{% endfor %}

[Back to my cart](https://shop.example.com/cart/{{ event.cart_id }})
"""
MJML = """\
---
subject: Your cart
---
<mjml><mj-body><mj-section><mj-column><mj-text>Hi {{ customer.first_name|default('friend') }}
{% for item in event.items %}{{ item.name }} {% endfor %}</mj-text>
<mj-button href="https://shop.example.com/cart/{{ event.cart_id }}">Back</mj-button>
<mj-text><a href="{{ unsubscribe_url }}">out</a></mj-text></mj-column></mj-section></mj-body></mjml>
"""


def main(people: int) -> None:
    with TemporaryDirectory() as folder:
        project = Project(Path(folder))
        project.write("campaigns/hello/jinja.email.md", MARKDOWN)
        project.write("campaigns/hello/liquid.email.html.liquid", COPY)
        project.write("campaigns/hello/mjml.email.mjml", MJML)
        messages = project.shelf().campaigns["hello"].messages
        renderer = Renderer()
        for name in ("jinja", "liquid", "mjml"):
            message = messages[name]
            source = message.source()
            start = time.process_time()
            size = len(renderer.render(source, CART, message_key=message.message_key).html or "")
            first = time.process_time() - start
            start = time.process_time()
            for _ in range(people):
                renderer.render(source, CART, message_key=message.message_key)
            seconds = time.process_time() - start
            print(f"{name}: {people / seconds:,.0f} messages/s of cpu (subject, {size:,} characters of HTML, text);"
                  f" compiled once in {first * 1000:.0f} ms")  # fmt: skip
    body = COPY.split("---\n", 2)[2].replace("{% unsubscribe_url %}", "x")
    template = Environment(autoescape=True).from_string(body)
    start = time.process_time()
    for _ in range(people):
        template.render(**CART)
    print(f"python-liquid by itself, the HTML body only: {people / (time.process_time() - start):,.0f}/s of cpu")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5_000)
