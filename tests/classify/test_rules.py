"""How a verdict is found: the order of rules, what the operator may add, and what class follows."""

from pathlib import Path

import pytest

from bouncer.classify.category import BounceClass, Category
from bouncer.classify.rules import Ruleset, Verdict, load
from bouncer.classify.words import words_of
from bouncer.errors import ConfigurationError
from bouncer.mail.reply import Reply, reply_from
from bouncer.reports.report import Format, Kind, Report, ReportedRecipient

RULES = load()


def judge(
    said: str | None = None,
    *,
    kind: Kind = Kind.BOUNCE,
    status: str | None = None,
    recipient: str = "user@example.com",
    remote_mta: str | None = None,
    reporting_mta: str | None = None,
    rules: Ruleset = RULES,
) -> Verdict:
    reported = ReportedRecipient(
        kind,
        recipient,
        status=status,
        reply=reply_from(said) if said else None,
        remote_mta=remote_mta,
    )
    return rules.judge(Report(Format.DSN, (reported,), reporting_mta=reporting_mta), reported)


def operators(directory: Path, text: str) -> Ruleset:
    (directory / "mine.toml").write_text(text, encoding="utf-8")
    return load([directory])


RULE = """
[[rule]]
id = "mine.unknown"
category = "policy"
pattern = 'user unknown'
examples = ["550 5.1.1 user unknown"]
source = "our own experience"
"""


class TestOrder:
    def test_words_win_over_a_status_that_a_reporting_mta_made_up(self) -> None:
        verdict = judge("550 Message failed DMARC policy", status="5.1.1")
        assert verdict.category is Category.AUTH_FAILURE
        assert verdict.class_ is BounceClass.SOFT

    def test_the_status_decides_where_the_words_say_nothing(self) -> None:
        assert judge("550 5.2.2 Sorry").category is Category.MAILBOX_FULL

    def test_the_status_field_decides_where_nothing_is_quoted(self) -> None:
        verdict = judge(status="5.1.1")
        assert (verdict.category, verdict.rule) == (Category.RECIPIENT_UNKNOWN, "status.1.1")

    def test_the_reply_code_decides_last(self) -> None:
        assert judge("552 Sorry").rule == "reply.552"

    def test_what_nobody_knows_is_undetermined_and_soft(self) -> None:
        verdict = judge("550 Hm")
        assert verdict == Verdict(Category.UNDETERMINED, BounceClass.SOFT, "other", None, None)

    def test_a_providers_rules_win_over_the_general_ones(self) -> None:
        said = "550 5.7.27 This message was blocked"
        assert judge(said).category is Category.SENDER_REJECTED
        gmail = judge(said, remote_mta="gmail-smtp-in.l.google.com")
        assert gmail.category is Category.AUTH_FAILURE

    def test_the_same_report_is_judged_the_same_each_time(self) -> None:
        said = "550 5.7.1 mailbox full, spam, user unknown, listed at zen.spamhaus.org, DMARC"
        assert len({judge(said) for _ in range(20)}) == 1


class TestOperators:
    def test_the_operators_rules_win_over_ours(self, tmp_path: Path) -> None:
        rules = operators(tmp_path, RULE)
        assert judge("550 5.1.1 User unknown", rules=rules).rule == "mine.unknown"

    def test_they_win_over_a_providers_rules_too(self, tmp_path: Path) -> None:
        rules = operators(tmp_path, RULE.replace("user unknown", "tried to reach does not exist"))
        said = "550 5.1.1 The email account that you tried to reach does not exist - gsmtp"
        assert judge(said, remote_mta="mx.google.com", rules=rules).rule == "mine.unknown"

    def test_they_change_the_version(self, tmp_path: Path) -> None:
        assert operators(tmp_path, RULE).version != RULES.version

    def test_a_rule_may_give_the_class(self, tmp_path: Path) -> None:
        rules = operators(tmp_path, RULE.replace('"policy"', '"policy"\nclass = "hard"'))
        assert judge("550 User unknown", rules=rules).class_ is BounceClass.HARD
        delayed = judge("450 User unknown", kind=Kind.DELAY, rules=rules)
        assert delayed.class_ is BounceClass.SOFT

    def test_conditions_on_status_and_code_must_hold_besides_the_words(
        self, tmp_path: Path
    ) -> None:
        rules = operators(
            tmp_path, RULE.replace("[[rule]]", '[[rule]]\nstatus = "5.7.*"\ncode = "55*"')
        )
        assert judge("550 5.7.9 user unknown", rules=rules).rule == "mine.unknown"
        assert judge("550 5.1.1 user unknown", rules=rules).rule != "mine.unknown"
        assert judge("540 5.7.9 user unknown", rules=rules).rule != "mine.unknown"

    def test_a_new_provider_is_recognised_and_has_its_vendor_codes(self, tmp_path: Path) -> None:
        rules = operators(
            tmp_path,
            'provider = "acme"\n[recognise]\nremote_mta = ["acme.example"]\n'
            "vendor_code = 'ACME-(\\d+)'\n" + RULE,
        )
        verdict = judge("550 User unknown (ACME-17)", remote_mta="mx1.acme.example", rules=rules)
        assert (verdict.provider, verdict.vendor_code) == ("acme", "17")
        assert judge("550 User unknown (ACME-17)", rules=rules).rule != "mine.unknown"

    @pytest.mark.parametrize("opening", ["(?P<vendor_code>", "(?<vendor_code>"])
    def test_a_rule_names_a_vendor_code(self, tmp_path: Path, opening: str) -> None:
        pattern = rf"user (unknown) \({opening}[A-Z]+-\d+)\)"
        rules = operators(tmp_path, RULE.replace("user unknown", pattern, 1))
        assert judge("550 User unknown (ACME-17)", rules=rules).vendor_code == "ACME-17"

    def test_what_looks_like_a_named_group_is_none(self, tmp_path: Path) -> None:
        rules = operators(tmp_path, RULE.replace("user unknown", r"unknown \(?<vendor_code>", 1))
        verdict = judge("550 User unknown <vendor_code>", rules=rules)
        assert (verdict.rule, verdict.vendor_code) == ("mine.unknown", None)

    def test_a_hostile_pattern_costs_nothing_special(self, tmp_path: Path) -> None:
        rules = operators(tmp_path, RULE.replace("user unknown", "(a+)+b$"))
        assert judge("550 " + "a" * 100_000 + "!", rules=rules).rule != "mine.unknown"

    def test_all_that_is_wrong_is_told_at_once_with_file_and_rule(self, tmp_path: Path) -> None:
        (tmp_path / "a.toml").write_text(RULE.replace("policy", "nonsense"))
        (tmp_path / "b.toml").write_text(RULE.replace("user unknown", "(unbalanced"))
        (tmp_path / "c.toml").write_text("this is not TOML")
        with pytest.raises(ConfigurationError) as error:
            load([tmp_path])
        faults = error.value.faults
        assert len(faults) == 3
        assert any("a.toml:2" in fault and "mine.unknown" in fault for fault in faults)
        assert any("b.toml" in fault and "does not compile" in fault for fault in faults)
        assert any("c.toml" in fault and "not TOML" in fault for fault in faults)

    def test_a_directory_that_is_not_there_refuses_the_start(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="is not there"):
            load([tmp_path / "none"])

    def test_files_are_read_in_the_order_of_their_names(self, tmp_path: Path) -> None:
        (tmp_path / "b.toml").write_text(RULE)
        (tmp_path / "a.toml").write_text(RULE.replace("mine.unknown", "mine.first"))
        assert judge("550 user unknown", rules=load([tmp_path])).rule == "mine.first"


class TestClass:
    def test_a_4xx_is_soft_whatever_it_says(self) -> None:
        verdict = judge("450 4.1.1 <user@example.com>: User unknown")
        assert (verdict.category, verdict.class_) == (
            Category.RECIPIENT_UNKNOWN,
            BounceClass.SOFT,
        )

    def test_the_reply_code_counts_more_than_the_status_field(self) -> None:
        verdict = judge("550 User unknown", status="4.4.7")
        assert verdict.class_ is BounceClass.HARD

    def test_without_code_and_status_a_failed_delivery_is_permanent(self) -> None:
        assert judge("User unknown").class_ is BounceClass.HARD

    def test_a_delay_is_never_hard(self) -> None:
        assert judge("550 5.1.1 User unknown", kind=Kind.DELAY).class_ is BounceClass.SOFT

    def test_a_full_mailbox_is_soft_even_when_the_code_is_permanent(self) -> None:
        assert judge("552 5.2.2 Mailbox full").class_ is BounceClass.SOFT

    def test_an_ambiguous_address_is_soft(self) -> None:
        assert judge("550 5.1.4 Sorry").class_ is BounceClass.SOFT

    def test_no_route_is_a_dead_domain_when_permanent_and_the_network_when_not(self) -> None:
        assert judge(status="5.4.4").category is Category.DOMAIN_INVALID
        assert judge(status="4.4.4").category is Category.NETWORK

    def test_an_unknown_status_about_the_address_is_hard_without_a_reason(self) -> None:
        verdict = judge(status="5.1.0")
        assert (verdict.category, verdict.class_) == (Category.UNDETERMINED, BounceClass.HARD)

    def test_an_expired_mail_counts_under_its_last_reason(self) -> None:
        said = "451 4.7.1 Greylisting in action, please come back later: retry timeout exceeded"
        assert judge(said, status="4.4.7").category is Category.GREYLISTED
        assert judge("retry timeout exceeded").category is Category.EXPIRED


class TestFeedback:
    @pytest.mark.parametrize(
        ("kind", "category"),
        [
            (Kind.COMPLAINT, Category.COMPLAINT),
            (Kind.UNSUBSCRIBE, Category.UNSUBSCRIBE),
            (Kind.AUTO_REPLY, Category.AUTO_REPLY),
            (Kind.CHALLENGE, Category.CHALLENGE_RESPONSE),
            (Kind.NOT_SPAM, None),
            (Kind.AUTH_REPORT, None),
            (Kind.DELIVERY, None),
            (Kind.RELAYED, None),
            (Kind.EXPANDED, None),
            (Kind.UNRECOGNISED, None),
        ],
    )
    def test_other_kinds_have_a_category_of_their_own_and_no_class(
        self, kind: Kind, category: Category | None
    ) -> None:
        verdict = judge("550 5.1.1 User unknown", kind=kind)
        assert (verdict.category, verdict.class_, verdict.rule) == (category, None, None)


class TestProvider:
    @pytest.mark.parametrize(
        ("said", "where", "provider"),
        [
            ("550 no", {"remote_mta": "aspmx.l.google.com"}, "google"),
            ("550 no", {"remote_mta": "ASPMX.L.GOOGLE.COM."}, "google"),
            ("550 no", {"remote_mta": "notgoogle.com"}, "other"),
            ("550 no", {"recipient": "user@gmail.com"}, "google"),
            ("550 no - gsmtp", {}, "google"),
            (
                "550 no",
                {"recipient": "user@gmail.com", "remote_mta": "x.mail.protection.outlook.com"},
                "microsoft",
            ),
            ("550 no", {"reporting_mta": "x.outlook.com"}, "microsoft"),
            (
                "550 no",
                {"reporting_mta": "x.outlook.com", "remote_mta": "mx.example.com"},
                "other",
            ),
            ("550 no", {}, "other"),
        ],
    )
    def test_the_receivers_operator_is_recognised(
        self, said: str, where: dict[str, str], provider: str
    ) -> None:
        assert judge(said, **where).provider == provider  # type: ignore[arg-type] # only strings

    def test_a_vendor_code_is_read_from_the_words(self) -> None:
        said = "550 5.7.1 part of their network is on our block list (S3150)."
        verdict = judge(said, recipient="user@outlook.com")
        assert (verdict.vendor_code, verdict.category) == ("S3150", Category.BLOCKLISTED)


class TestWords:
    def test_the_recipients_address_is_not_taken_for_a_reason(self) -> None:
        address = "spam-full@blacklist.example"
        verdict = judge(f"550 5.1.1 <{address}>: User unknown", recipient=address)
        assert verdict.category is Category.RECIPIENT_UNKNOWN

    @pytest.mark.parametrize(
        ("recipient", "said"),
        [
            ("spam-full@unknown.example", "550 5.7.1 <Spam-Full@unknown.example>: rejected"),
            ("Spam-Full@Unknown.example", "550 5.7.1 <spam-full@unknown.example>: rejected"),
            (
                "spam-full@unknown.example",
                "550 5.7.1 <spam-full@unknown.example> SPAM-FULL@UNKNOWN.EXAMPLE: rejected",
            ),
            ("spam-ärger@full.example", "550 5.7.1 İ <SPAM-ÄRGER@FULL.EXAMPLE>: rejected"),
            ("spam-İ@full.example", "550 5.7.1 İİ <Spam-İ@full.example>: rejected"),
        ],
    )
    def test_the_recipients_address_is_not_taken_for_a_reason_in_whatever_case(
        self, recipient: str, said: str
    ) -> None:
        verdict = judge(said, recipient=recipient)
        assert verdict.category is Category.POLICY

    def test_no_letter_moves_the_others_when_the_address_is_looked_for(self) -> None:
        every = "".join(map(chr, range(0x20, 0xD800)))
        for recipient in ("spam@full.example", "i\u0307spam@full.example"):
            reported = ReportedRecipient(
                Kind.BOUNCE, recipient, reply=Reply(f"550 {every[:2000]}<{recipient.upper()}>: no")
            )
            assert words_of(reported).decode().endswith("<@>: no")
        assert {letter for letter in every if len(letter.lower()) != 1} == {"İ"}

    def test_words_that_are_no_unicode_are_judged_all_the_same(self) -> None:
        reported = ReportedRecipient(
            Kind.BOUNCE, "user@example.com", reply=Reply("550 user unknown \udcff", 550)
        )
        verdict = RULES.judge(Report(Format.DSN, (reported,)), reported)
        assert verdict.category is Category.RECIPIENT_UNKNOWN

    def test_only_the_first_8_kib_count(self) -> None:
        reported = ReportedRecipient(
            Kind.BOUNCE, "user@example.com", reply=Reply("x" * 9000 + " user unknown")
        )
        verdict = RULES.judge(Report(Format.DSN, (reported,)), reported)
        assert verdict.category is Category.UNDETERMINED

    def test_the_rest_of_a_report_is_asked_where_no_rule_fits_the_words(self) -> None:
        around = "Reason: User unknown\n\nTo: user@example.com\nPost Office: HQ"
        reported = ReportedRecipient(
            Kind.BOUNCE, "user@example.com", reply=Reply("Post Office: HQ"), around=around
        )
        report = Report(Format.FREE_TEXT, (reported,))
        assert RULES.judge(report, reported).category is Category.RECIPIENT_UNKNOWN
        explained = RULES.explain(report, reported)
        assert explained.winner is not None
        assert explained.around == "Reason: User unknown To: @ Post Office: HQ"
        reported.reply = Reply("Mailbox full")
        assert RULES.judge(report, reported).category is Category.MAILBOX_FULL
        assert RULES.explain(report, reported).around == ""

    @pytest.mark.parametrize(
        "supposed",
        [
            "The mailbox may be full or may not exist.",
            "Please check whether the user is unknown.",
            "Vielleicht ist der Benutzer unbekannt.",
            "L'utilisateur est peut-être inconnu.",
            "メールボックスが存在しない可能性があります。",
        ],
    )
    def test_what_a_report_only_supposes_is_no_reason(self, supposed: str) -> None:
        reported = ReportedRecipient(
            Kind.BOUNCE, "user@example.com", reply=Reply("Sorry."), around=f"Sorry. {supposed}"
        )
        verdict = RULES.judge(Report(Format.FREE_TEXT, (reported,)), reported)
        assert verdict.category is Category.UNDETERMINED

    def test_who_is_unknown_at_mail_from_is_the_sender(self) -> None:
        said = "550 5.1.1 no such user (in reply to MAIL FROM command)"
        verdict = judge(said)
        assert (verdict.category, verdict.class_) == (Category.SENDER_REJECTED, BounceClass.SOFT)

    @pytest.mark.parametrize(
        "said",
        [
            "550 Your account has been disabled for sending",
            "550 5.1.8 Domain example.com does not exist",
            "550 Return path address not found",
            "553 unknown user in From header",
            "550 5.7.1 You are not a known user",
            "550 5.7.1 Unknown host [192.0.2.1] rejected (no PTR)",
            "550 Too many unknown users from your IP",
            "554 5.7.1 Sender domain not found",
        ],
    )
    def test_what_is_said_of_the_sender_never_kills_the_recipient(self, said: str) -> None:
        assert judge(said).class_ is BounceClass.SOFT


class TestPrepare:
    def test_verdicts_are_the_same_before_and_after(self) -> None:
        rules = load()
        said = "452 4.2.2 mailbox full"
        before = judge(said, rules=rules)
        rules.prepare()
        assert judge(said, rules=rules) == before == judge(said)


class TestExplain:
    def test_all_rules_that_fit_are_told_in_the_order_of_trying(self) -> None:
        reported = ReportedRecipient(
            Kind.BOUNCE,
            "user@example.com",
            reply=reply_from("550 5.1.1 User unknown, mailbox full"),
        )
        told = RULES.explain(Report(Format.DSN, (reported,)), reported)
        assert told.winner is not None
        assert told.winner.id == told.verdict.rule
        assert {"recipient.unknown", "status.1.1"} <= {rule.id for rule in told.fitting}

    def test_other_kinds_have_nothing_to_explain(self) -> None:
        reported = ReportedRecipient(Kind.COMPLAINT, "user@example.com")
        assert RULES.explain(Report(Format.ARF, (reported,)), reported).fitting == ()
