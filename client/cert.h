/* Subcommands of `rctl cert` that have files of their own. */
#ifndef CLIENT_CERT_H
#define CLIENT_CERT_H

#include "client/rctl.h"

extern const struct command cert_revoke, cert_revoked;

#endif
