"""What `resetsvc dev` adds on one machine: an SMTP catcher and a mailbox page. Never imported by `serve` or `dispatch`."""
