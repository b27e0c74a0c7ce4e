/* A master's keys and certificates. */
#ifndef MASTER_AUTH_IDENTITY_H
#define MASTER_AUTH_IDENTITY_H

#include "master/master.h"

/* Reads CA, certificate, key and the keys that seal Secrets from the data directory and takes them into use: at the
 * start, and again after a renewal met new files (new handshakes take the new certificate, connections that are open
 * stay; the store keeps the seal key it was made with). A certificate that has expired, or names another id than the
 * configuration, is used until the leader has signed a new one; with ca.key here it is replaced first. On failure
 * nothing has changed. Blocking, short. Loop thread only. */
int identity_load(struct master *m, struct error *err);
/* Renews the certificate when it is due, with a fresh key that the leader signs: called from the timer of chores. */
void identity_tick(struct master *m);
enum pki_state identity_state(const struct master *m);
/* These CAs are trusted from now on, in place of m->ca_pem: by new connections. ERR_INVALID: our own certificate is
 * of none of them; nothing has changed. */
int identity_set_trust(struct master *m, const char *cas_pem, struct error *err);

#endif
