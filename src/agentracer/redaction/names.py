"""Decide by its name whether a field, variable, header or option holds a secret.

`password`, `X-Api-Key`, `awsSecretAccessKey` and `--db-pwd` are names of secrets whatever their
value is. `token` or `signature` may be: `page_token` and the signature of a function are none, so
the value must also look like a key (`looks_random`).
"""

from __future__ import annotations

import re
from enum import Enum
from functools import lru_cache

__all__ = ["STEMS", "Sensitivity", "looks_random", "normalized", "sensitivity"]


class Sensitivity(Enum):
    """How sure a name is that its value is a secret."""

    NONE = 0
    POSSIBLE = 1
    CERTAIN = 2


STEMS = (
    *("key", "token", "secret", "pass", "pwd", "cred", "auth", "cookie"),
    *("signature", "sig=", "sessionid", "sessid"),
)
"""Every name of a secret contains one of these, in some case: what a search starts from."""

_CERTAIN = (
    *("password", "passwd", "pwd", "passphrase", "passcode", "secret", "credential", "cookie"),
    *("apikey", "secretkey", "accesskey", "privatekey", "accountkey", "sharedkey", "storagekey"),
    *("masterkey", "encryptionkey", "signingkey", "authkey", "servicekey", "licensekey", "sshkey"),
    *("subscriptionkey", "appkey", "applicationkey", "consumerkey", "writekey", "adminkey"),
    *("integrationkey", "deploykey", "clientkey", "hostkey", "serverkey", "secretvalue"),
    *("authtoken", "accesstoken", "refreshtoken", "bearertoken", "sessiontoken", "securitytoken"),
    *("apitoken", "oauthtoken", "bottoken", "privatetoken", "vaulttoken", "idtoken", "usertoken"),
    *("authorization", "passwordhash", "sessionkey", "dbpass", "mysqlpass", "userpass", "mailpass"),
)
_POSSIBLE = ("token", "signature", "sig", "sessionid", "sessid", "auth", "pass", "authenticator")
_PLURALS = {"passwords", "secrets", "credentials", "creds", "apikeys", "cookies"}
_NOT_SECRET_FIRST = re.compile(
    r"^(?:page|next|continuation|cursor|start|end|pad|eos|bos|unk|mask|special|stop|sep|cls|max|min|"
    r"num|number|first|last|prev|previous|sync|new|total|input|output|prompt|completion|cached)+"
    r"(?:page)?token$"
)
_ENV_WORDS = re.compile(
    r"(?:^|_)(?:API)?(?:KEY|TOKEN|SECRET|PASSWORD|PASSWD|PWD|CREDENTIALS?)\d*(?:_|$)"
)
_ENV_NAME = re.compile(r"[A-Z][A-Z0-9_]*")
_ENV_NOT_SECRET = re.compile(
    r"_(?:ID|FILE|PATH|URL|URI|NAME|COUNT|LIMIT|LENGTH|SIZE|TYPE|TTL|HINT|POLICY|EXPIRY|REGION|ENV)$"
)
_SUFFIXES = ("base64", "b64", "value", "plain", "text")
_MAX_NAME = 96


def normalized(name: str) -> str:
    """`name` in lower case, letters and digits only: `X-Api-Key` and `xApiKey` are one name."""
    return "".join(filter(str.isalnum, name)).lower()


@lru_cache(maxsize=4096)
def sensitivity(name: str) -> Sensitivity:
    """How sure `name` is the name of a secret.

    Args:
        name: of a field, variable, header, option or query parameter, with any separators.
    """
    if len(name) > _MAX_NAME:
        name = name[-_MAX_NAME:]
    if _ENV_NAME.fullmatch(name) and _ENV_WORDS.search(name) and not _ENV_NOT_SECRET.search(name):
        return Sensitivity.CERTAIN
    word = normalized(name)
    word = _without_suffixes(word) or word
    if word in _PLURALS or word.endswith(_CERTAIN):
        return Sensitivity.CERTAIN
    if word.endswith(_POSSIBLE) and not _NOT_SECRET_FIRST.match(word):
        return Sensitivity.POSSIBLE
    return Sensitivity.NONE


def _without_suffixes(word: str) -> str:
    """A name without what says how its value is written: `password2`, `tokenBase64`."""
    rest = word.rstrip("0123456789")
    for suffix in _SUFFIXES:
        if word.endswith(suffix):
            rest = word.removesuffix(suffix)
    return rest if rest == word else _without_suffixes(rest)


def looks_random(value: str) -> bool:
    """Whether a value looks generated: no spaces, at least 8 characters, letters and digits.

    A version, date, plain number, path or address of a page is not.
    """
    if len(value) < 8 or any(char in value for char in " \t\n(){}<>"):
        return False
    if "://" in value or value.startswith(("/", "./", "~/")):
        return False
    letters = sum(map(str.isalpha, value[:256]))
    digits = sum(map(str.isdigit, value[:256]))
    return letters >= 2 and digits >= 1 and letters + digits >= 8
