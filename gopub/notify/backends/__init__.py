"""What carries messages: one line each, the kind and where its connection is; none is imported before it is named."""

BACKENDS = {
    "alertmanager": "gopub.notify.backends.alertmanager:Alertmanager",
    "apprise": "gopub.notify.backends.apprise:Apprise",
}
