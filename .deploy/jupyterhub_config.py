"""
What a JupyterHub needs so that its users can use the team's broker: to be added to your own `jupyterhub_config.py`.

Tested with JupyterHub 6.1 (tests/e2e/test_jupyterhub.py runs these lines against a real Hub).
"""

import os

c = get_config()  # noqa: F821 - JupyterHub defines it

SERVICE = "flowfile-secrets"
# Each user's token is asked about at the Hub for every call, so that one which was taken back is worthless at once.
CALL = f"access:services!service={SERVICE}"

c.JupyterHub.services = [
    {
        "name": SERVICE,
        # An external service (no `command`): a broker that the Hub started would end with it, and its port would be free for
        # anybody meanwhile. It has to listen before the Hub starts, or the Hub waits half a minute for it.
        "url": "http://127.0.0.1:8765",
        # The same text as in the file that the broker gets with --hub-token-file.
        "api_token": os.environ["FLOWFILE_NB_HUB_TOKEN"],
    },
]

c.JupyterHub.load_roles = [
    {
        # Who may call the broker. By a group, so that whoever leaves it loses the scope too, in tokens that he has as well.
        "name": "flowfile-secrets-callers",
        "scopes": [CALL],
        "groups": ["analysts"],
    },
    {
        "name": SERVICE,
        "services": [SERVICE],
        "scopes": [
            # While somebody's statement runs, the broker asks twice a second whether the Hub still has him …
            "read:users:name",
            # … and in which groups: who has left one loses what runs by its shares.
            "read:users:groups",
        ],
    },
]

# $JUPYTERHUB_API_TOKEN, which every kernel has. Only what is listed here is in it:
c.Spawner.server_token_scopes = [
    "users:activity!user",  # the Hub's default: the server tells that it is used
    "access:servers!server",  # the Hub's default: to its own server
    CALL,  # to the broker, and to no other service
]
# The same for those who log in to their server by the browser.
c.Spawner.oauth_client_allowed_scopes = [CALL]

# Where kernels find the broker: on one host its unix socket, where no token is needed at all; elsewhere the address of the Hub
# with the service's path, such as https://hub.example.com/services/flowfile-secrets
c.Spawner.environment = {"FLOWFILE_NB_TEAM": "unix:/run/flowfile-nb/broker.sock"}
