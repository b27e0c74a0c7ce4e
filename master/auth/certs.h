/* Others' certificates, and who has which. */
#ifndef MASTER_AUTH_CERTS_H
#define MASTER_AUTH_CERTS_H

#include "master/front/call.h"

/* How often an identity may have its certificate renewed: signing costs milliseconds of the loop. Far more than a
 * healthy agent or client needs, also with certificates that live for seconds. */
#define CERTS_RENEW_BURST 10
#define CERTS_RENEW_US    10000000
/* The other side of the connection has this certificate from now on. */
void certs_note_renewed(struct session *s, const char *cert);
/* Array of texts: what expires soon or could not be renewed, as far as this master knows (nodes: the leader). */
void certs_write_warnings(struct master *m, struct buf *b);

#endif
