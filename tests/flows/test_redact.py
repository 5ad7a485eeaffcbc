from flows.redact import Redactor


def test_secrets_of_the_environment_are_blanked_and_other_values_stay() -> None:
    redact = Redactor(
        {
            "HF_TOKEN": "hf_abcdefgh",
            "AWS_SECRET_ACCESS_KEY": "hf_abcdefghijk",
            "USER": "someone-long",
        }
    )
    assert redact("a hf_abcdefghijk b hf_abcdefgh c someone-long") == "a *** b *** c someone-long"


def test_short_values_do_not_blank_ordinary_words() -> None:
    assert Redactor({"API_KEY": "test"})("a test") == "a test"


def test_credentials_in_an_address_are_blanked() -> None:
    assert Redactor({})("from https://me:pass@host/x") == "from https://***@host/x"
