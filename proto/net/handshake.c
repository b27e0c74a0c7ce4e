/* A step of a handshake: what has come goes through OpenSSL, and what is found is noted. Clients' steps are done on the
 * loop; servers' too, or on the thread of their listener (net/worker.h). So nothing in here, nor in what OpenSSL calls
 * from here (net/tls.c), touches anything of a connection but what is the step's (net_int.h), nor calls an owner. */
#include <openssl/err.h>
#include <stdlib.h>
#include <string.h>

#include "proto/net/net_int.h"

/* The certificate fits its role and the protocol is agreed on. */
static bool check_peer(struct net_conn *c)
{
    c->peer = SSL_get0_peer_certificate(c->ssl) == NULL ? NULL : TAKE_PTR(c->shown);
    if (!c->server && net_conn_peer(c)->role != PKI_ROLE_MASTER) {
        net_conn_found(c, ERR_UNAUTHORIZED, "the server has a certificate of %s %s, not of a master",
                       pki_role_word(net_conn_peer(c)->role), net_conn_peer(c)->name);
        return false;
    }
    if (c->server && c->peer != NULL && c->peer->who.role == PKI_ROLE_NONE) {
        net_conn_found(c, ERR_UNAUTHORIZED, "the client's certificate names no role of this cluster");
        return false;
    }
    const uint8_t *alpn = NULL;
    unsigned n = 0;
    SSL_get0_alpn_selected(c->ssl, &alpn, &n);
    if (c->server) {
        /* Clients of plain HTTP may offer nothing at all (RFC 7301 is optional for them). */
        bool http = false;
        for (const char *const *ours = c->listener->config.alpns; n == 0 && *ours != NULL; ours++) {
            http = http || strcmp(*ours, ALPN_HTTP) == 0;
        }
        c->alpn = n > 0 ? xstrndup((const char *)alpn, n) : http ? xstrdup(ALPN_HTTP) : NULL;
        if (c->alpn == NULL) {
            net_conn_found(c, ERR_UNSUPPORTED, "the peer offers no protocol that is spoken here");
            return false;
        }
    } else if (n != strlen(c->alpn) || memcmp(alpn, c->alpn, n) != 0) {
        net_conn_found(c, ERR_UNSUPPORTED, "the peer does not speak %s", c->alpn);
        return false;
    }
    return true;
}

enum net_step net_conn_step(struct net_conn *c)
{
    if (c->ssl == NULL) { /* so one that says nothing costs none */
        c->ssl = net_tls_ssl(c->tls, c, c->server);
        if (!c->server) {
            net_tls_offer(c->ssl, c->alpn);
        }
    }
    ERR_clear_error();
    int rv = SSL_do_handshake(c->ssl);
    if (rv == 1) {
        return check_peer(c) ? NET_STEP_DONE : NET_STEP_FAILED;
    }
    if (SSL_get_error(c->ssl, rv) == SSL_ERROR_WANT_READ) {
        return NET_STEP_MORE;
    }
    net_tls_explain(c);
    return NET_STEP_FAILED;
}
