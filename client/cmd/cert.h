/* Subcommands of `rctl cert` that have files of their own. */
#ifndef CLIENT_CMD_CERT_H
#define CLIENT_CMD_CERT_H

#include "client/cmd/rctl.h"

extern const struct command cert_revoke, cert_revoked, cert_rotate_ca, cert_rotate_seal, cert_rotate_tokens;

#endif
