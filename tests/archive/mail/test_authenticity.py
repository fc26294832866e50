"""Whose Authentication-Results are believed, and what is read in them."""

import pytest

from archive.mail import authenticity, hops

IN = "Received: from a.example (a.example [192.0.2.1]) by mx.demo.example (Postfix) with ESMTPS id 1; x"
AT_GOOGLE = "Received: from a.example (a.example [192.0.2.1]) by mx.google.com with ESMTPS id 1; x"
AT_MICROSOFT = "Received: from a.outlook.com (192.0.2.1) by b.eurprd01.prod.outlook.com with HTTPS; x"
ALL = "dkim=pass header.d=a.example; spf=pass smtp.mailfrom=a@a.example; dmarc=pass (p=REJECT) header.from=a.example"


def found(*lines: str, trusted: tuple[str, ...] = ()) -> dict[str, set[str]]:
    own = hops.own("".join(f"{line}\r\n" for line in lines).encode())
    return {method: set(of) for method, of in authenticity.results(own, trusted).items()}


PASSED = {"dkim": {"pass"}, "spf": {"pass"}, "dmarc": {"pass"}}
BELIEVED = {
    "above the hop": (f"Authentication-Results: mx.demo.example; {ALL}", IN),
    "under the domain's name": (f"Authentication-Results: demo.example; {ALL}", IN),
    "with a version": (f"Authentication-Results: mx.demo.example 1; {ALL}", IN),
    "folded, with comments": (
        f"Authentication-Results: mx.demo.example;\r\n\tdkim=pass (2048-bit; ok\\) x)\r\n header.d=a; {ALL[27:]}", IN,
    ),
    "Google's, below the hop": (AT_GOOGLE, f"Authentication-Results: mx.google.com; {ALL}"),
    "Microsoft's, without a name": (AT_MICROSOFT, f"Authentication-Results: {ALL};compauth=pass reason=100"),
}  # fmt: skip
NOT_BELIEVED = {
    "below the hop": (IN, f"Authentication-Results: mx.demo.example; {ALL}"),
    "in another's name": (f"Authentication-Results: mx.other.example; {ALL}", IN),
    "in a part of the name": (f"Authentication-Results: emo.example; {ALL}", IN),
    "Google's name at another server": (IN, f"Authentication-Results: mx.google.com; {ALL}"),
    "without a name, below": (IN, f"Authentication-Results: {ALL}"),
    "without a hop": (f"Authentication-Results: mx.demo.example; {ALL}",),
    "in a comment": ("Authentication-Results: mx.demo.example; none (; dkim=pass; dmarc=pass)", IN),
    "in quotes": ('Authentication-Results: mx.demo.example; spf=none smtp.x="; spf=pass; dkim=pass"', IN),
}


@pytest.mark.parametrize("case", BELIEVED)
def test_the_receiving_servers_word_counts(case: str) -> None:
    assert found(*BELIEVED[case]) == PASSED


@pytest.mark.parametrize("case", NOT_BELIEVED)
def test_nobody_elses_word_counts(case: str) -> None:
    assert not any("pass" in of for of in found(*NOT_BELIEVED[case]).values())


def test_the_operator_may_trust_a_name_wherever_it_stands() -> None:
    lines = (IN, f"Authentication-Results: mx.demo.example; {ALL}")
    assert found(*lines, trusted=("MX.demo.example",)) == PASSED


def test_the_topmost_of_two_counts() -> None:
    bad = "Authentication-Results: mx.demo.example; dkim=fail"
    assert found(bad, f"Authentication-Results: mx.demo.example; {ALL}", IN) == {"dkim": {"fail"}}


def test_several_signatures_are_several_results() -> None:
    assert found("Authentication-Results: mx.demo.example; dkim=fail; dkim=pass", IN) == {"dkim": {"fail", "pass"}}
