#include <assert.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "proto/net/net_int.h"

#define PEER_CHAIN_MAX (64 << 10) /* bytes of certificates a peer may send */
#define CIPHERS        "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"

/* ---- The BIO: OpenSSL reads what libuv has just read, and writes into the connection's buffer ---- */

static int bio_read(BIO *b, char *out, int size)
{
    struct net_conn *c = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    if (c->in_size == 0) {
        BIO_set_retry_read(b);
        return -1;
    }
    size_t n = MIN(c->in_size, (size_t)size);
    memcpy(out, c->in, n);
    c->in += n;
    c->in_size -= n;
    return (int)n;
}

static int bio_write(BIO *b, const char *p, int size)
{
    struct net_conn *c = BIO_get_data(b);
    BIO_clear_retry_flags(b);
    buf_append(&c->cipher, p, (size_t)size);
    return size;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b, (void)num, (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static int bio_create(BIO *b)
{
    BIO_set_init(b, 1);
    return 1;
}

static BIO_METHOD *bio_method_new(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "net_conn");
    if (m != NULL) {
        BIO_meth_set_read(m, bio_read);
        BIO_meth_set_write(m, bio_write);
        BIO_meth_set_ctrl(m, bio_ctrl);
        BIO_meth_set_create(m, bio_create);
    }
    return m;
}

SSL *net_tls_ssl(struct net_tls *t, struct net_conn *c, bool server)
{
    SSL *ssl = SSL_new(t->ctx);
    BIO *bio = BIO_new(t->bio_method);
    assert(ssl != NULL && bio != NULL); /* only memory can be short */
    BIO_set_data(bio, c);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_app_data(ssl, c);
    if (server) {
        SSL_set_accept_state(ssl);
    } else {
        SSL_set_connect_state(ssl);
        SSL_set1_chain(ssl, NULL); /* only joiners need the CA's certificate from the other side; masters know it */
    }
    return ssl;
}

/* ---- ALPN ---- */

void net_tls_offer(SSL *ssl, const char *alpn)
{
    uint8_t wire[256];
    size_t n = strlen(alpn);
    assert(n > 0 && n < sizeof wire);
    wire[0] = (uint8_t)n;
    memcpy(wire + 1, alpn, n);
    int rv = SSL_set_alpn_protos(ssl, wire, (unsigned)n + 1);
    assert(rv == 0);
    (void)rv;
}

/* The first of our protocols, in our order, that the client offers. */
static int select_alpn(SSL *ssl, const uint8_t **out, uint8_t *out_size, const uint8_t *in, unsigned in_size, void *arg)
{
    (void)arg;
    const struct net_conn *c = SSL_get_app_data(ssl);
    if (c->listener == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    for (const char *const *ours = c->listener->config.alpns; *ours != NULL; ours++) {
        size_t n = strlen(*ours);
        for (unsigned i = 0; i < in_size && in_size - i > in[i]; i += 1u + in[i]) {
            if (in[i] == n && memcmp(in + i + 1, *ours, n) == 0) {
                *out = in + i + 1;
                *out_size = in[i];
                return SSL_TLSEXT_ERR_OK;
            }
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- Checking the peer's certificate ---- */

/* What whoever reads that a certificate has expired can do about it. */
static const char *expired_advice(const X509 *cert)
{
    struct pki_identity who;
    pki_x509_identity(cert, &who);
    switch (who.role) {
    case PKI_ROLE_MASTER:
        return "a majority of the masters must run, then the one that leads signs a new one at once";
    case PKI_ROLE_NODE:
        return "join the node anew with a token (rctl token create, reeve-agent join)";
    case PKI_ROLE_ADMIN:
        return "`reeve-master admin --dir DIR` on a master's machine writes a new client configuration";
    case PKI_ROLE_USER:
        return "an administrator can make a new one (rctl user add)";
    case PKI_ROLE_NONE:
        break;
    }
    return "a new one is needed";
}

int net_tls_check_time(const X509 *cert, struct error *err)
{
    char who[PKI_WHO_SIZE], date[PKI_DATE_SIZE];
    pki_x509_describe(cert, who);
    if (X509_cmp_current_time(X509_get0_notAfter(cert)) < 0) {
        pki_date(X509_get0_notAfter(cert), date);
        return error_set(err, ERR_UNAUTHORIZED, "certificate of %s expired on %s; %s (and check the clock)", who, date,
                         expired_advice(cert));
    }
    if (X509_cmp_current_time(X509_get0_notBefore(cert)) > 0) {
        pki_date(X509_get0_notBefore(cert), date);
        return error_set(err, ERR_UNAUTHORIZED,
                         "certificate of %s is valid only from %s on; check this machine's clock", who, date);
    }
    return 0;
}

static void blame_certificate(struct net_conn *c, const X509 *cert, int reason)
{
    struct error err = {0};
    char who[PKI_WHO_SIZE] = "the peer";
    if (cert != NULL) {
        pki_x509_describe(cert, who);
    }
    if ((reason == X509_V_ERR_CERT_HAS_EXPIRED || reason == X509_V_ERR_CERT_NOT_YET_VALID) && cert != NULL &&
        net_tls_check_time(cert, &err) != 0) {
        net_conn_found(c, err.code, "%s", err.message);
        return;
    }
    switch (reason) {
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        net_conn_found(c, ERR_UNAUTHORIZED,
                       "certificate of %s is not signed by this cluster's CA; is it another cluster's, or of a CA that "
                       "was replaced?",
                       who);
        break;
    case X509_V_ERR_INVALID_PURPOSE:
        net_conn_found(c, ERR_UNAUTHORIZED, "certificate of %s may not be used %s", who,
                       c->server ? "by a client" : "by a server: only masters serve");
        break;
    default:
        net_conn_found(c, ERR_UNAUTHORIZED, "certificate of %s refused: %s", who,
                       X509_verify_cert_error_string(reason));
    }
}

/* The CA certificate among those the server sent whose fingerprint is ours. */
static X509 *find_pinned(const struct net_tls *t, X509_STORE_CTX *store)
{
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
    for (int i = 0; i < sk_X509_num(sent); i++) {
        X509 *cert = sk_X509_value(sent, i);
        uint8_t print[PKI_FINGERPRINT_SIZE];
        pki_x509_fingerprint(cert, print);
        if (CRYPTO_memcmp(print, t->pin, sizeof print) == 0 && X509_check_ca(cert) != 0) {
            return cert;
        }
    }
    return NULL;
}

static struct net_conn *conn_of(X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    return SSL_get_app_data(ssl);
}

/* OpenSSL asks about each thing that it finds wrong. The one thing that may be forgiven: that a node (or, among
 * masters, a master) comes late to renew its certificate, or early, with one that was signed while a clock ran
 * ahead. Signature, use and issuer are checked all the same. */
static int forgive_lateness(int ok, X509_STORE_CTX *store)
{
    int reason = X509_STORE_CTX_get_error(store);
    struct net_conn *c = conn_of(store);
    X509 *cert = X509_STORE_CTX_get_current_cert(store);
    if (ok || c->tls->grace_s <= 0 || cert == NULL || X509_STORE_CTX_get_error_depth(store) != 0 ||
        (reason != X509_V_ERR_CERT_HAS_EXPIRED && reason != X509_V_ERR_CERT_NOT_YET_VALID)) {
        return ok;
    }
    struct pki_identity who;
    pki_x509_identity(cert, &who);
    int64_t now_s = (int64_t)time(NULL);
    int64_t off_s = reason == X509_V_ERR_CERT_HAS_EXPIRED ? now_s - pki_seconds(X509_get0_notAfter(cert))
                                                          : pki_seconds(X509_get0_notBefore(cert)) - now_s;
    bool of_use = (who.role == PKI_ROLE_NODE && c->server) || (who.role == PKI_ROLE_MASTER && c->tls->late_masters);
    if (!of_use || off_s > c->tls->grace_s) {
        return ok;
    }
    c->peer_expired = true;
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
}

/* A master that was removed from the cluster, or whose certificate was revoked, as we were told. */
static bool is_refused(struct net_conn *c, const X509 *cert)
{
    struct pki_identity who;
    struct pki_facts facts;
    if (c->server || c->tls->refused == NULL || cert == NULL) {
        return false;
    }
    pki_x509_identity(cert, &who);
    pki_x509_facts(cert, &facts);
    if (!pki_refused_has(str_of(c->tls->refused), &who, facts.serial)) {
        return false;
    }
    net_conn_found(c, ERR_UNAUTHORIZED,
                   "master %s was removed from the cluster, or its certificate revoked; whoever answers there is not "
                   "one of its masters",
                   who.name);
    return true;
}

/* If other connections have the same certificate: their copy of it, from here on. OpenSSL takes the peer's certificate
 * out of the very list that it has verified here, behind this; the chain refers to it by itself. */
static void take_known_copy(struct net_tls *t, X509_STORE_CTX *store)
{
    STACK_OF(X509) *sent = X509_STORE_CTX_get0_untrusted(store);
    X509 *cert = X509_STORE_CTX_get0_cert(store);
    X509 *same = sk_X509_num(sent) > 0 && sk_X509_value(sent, 0) == cert ? net_known_cert(t, cert) : NULL;
    if (same != NULL) {
        sk_X509_set(sent, 0, same);
        X509_STORE_CTX_set_cert(store, same);
        X509_free(cert);
    }
}

static struct net_known *known_of(struct net_tls *t, X509_STORE_CTX *store)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);
    int n = sk_X509_num(chain);
    char ca[33] = "";
    if (n > 1) {
        uint8_t print[PKI_FINGERPRINT_SIZE];
        pki_x509_fingerprint(sk_X509_value(chain, n - 1), print);
        pki_fingerprint_text(print, ca);
    }
    return net_known_get(t, X509_STORE_CTX_get0_cert(store), ca);
}

/* Called by OpenSSL for the peer's chain. With a pin, the CA it names becomes the one that is trusted. */
static int verify_chain(X509_STORE_CTX *store, void *arg)
{
    struct net_tls *t = arg;
    struct net_conn *c = conn_of(store);
    STACK_OF(X509) *trusted = NULL;
    if (t->has_pin) {
        X509 *ca = find_pinned(t, store);
        if (ca == NULL) {
            net_conn_found(c, ERR_UNAUTHORIZED,
                           "the CA of the server does not have the fingerprint that the token names; wrong address, a "
                           "token from before "
                           "the CA was replaced, or somebody in between");
            X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_UNTRUSTED);
            return 0;
        }
        trusted = sk_X509_new_null();
        sk_X509_push(trusted, ca);
        X509_STORE_CTX_set0_trusted_stack(store, trusted);
    }
    X509_STORE_CTX_set_verify_cb(store, forgive_lateness);
    if (c->server) {
        take_known_copy(t, store);
    }
    int ok = X509_verify_cert(store);
    if (ok != 1) {
        X509 *cert = X509_STORE_CTX_get_current_cert(store);
        blame_certificate(c, cert != NULL ? cert : X509_STORE_CTX_get0_cert(store), X509_STORE_CTX_get_error(store));
    }
    sk_X509_free(trusted);
    if (ok != 1 || is_refused(c, X509_STORE_CTX_get0_cert(store))) {
        return 0;
    }
    net_known_give(t, c->shown);
    c->shown = known_of(t, store);
    return 1;
}

/* ---- What went wrong, in words ---- */

static void blame_own(struct net_conn *c, const char *what)
{
    struct error err = {0};
    if (c->tls->cert == NULL) {
        net_conn_found(c, ERR_UNAUTHORIZED, "the peer insists on a certificate, and we have none");
    } else if (net_tls_check_time(c->tls->cert, &err) != 0) {
        net_conn_found(c, err.code, "the peer refused us: our %s", err.message);
    } else {
        char who[PKI_WHO_SIZE];
        pki_x509_describe(c->tls->cert, who);
        net_conn_found(c, ERR_UNAUTHORIZED, "the peer refused our certificate (%s): %s", who, what);
    }
}

void net_tls_explain(struct net_conn *c)
{
    char text[160];
    switch (ERR_GET_REASON(ERR_peek_error())) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        blame_own(c, "it is not signed by the CA it knows; is it another cluster's? If the cluster's CA was replaced "
                     "while we were "
                     "away: join anew with a token");
        break;
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        blame_own(c, "expired by its clock");
        break;
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_ACCESS_DENIED:
    case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
        blame_own(c, "not accepted for this use");
        break;
    case SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL:
        net_conn_found(c, ERR_UNSUPPORTED, "the peer does not speak %s", c->alpn == NULL ? "our protocol" : c->alpn);
        break;
    case SSL_R_NO_APPLICATION_PROTOCOL:
        net_conn_found(c, ERR_UNSUPPORTED, "the peer offers no protocol that is spoken here");
        break;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        net_conn_found(c, ERR_UNSUPPORTED, "the peer does not speak TLS 1.3");
        break;
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_UNEXPECTED_MESSAGE:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_RECORD_LENGTH_MISMATCH:
        if (!SSL_is_init_finished(c->ssl)) {
            net_conn_found(c, ERR_PROTOCOL, "the peer does not speak TLS");
            break;
        }
        /* fall through */
    default:
        net_conn_found(c, ERR_PROTOCOL, "TLS: %s", pki_openssl_text(text));
    }
    ERR_clear_error();
}

/* ---- Making one ---- */

/* What was found among the CAs that are given. */
struct cas {
    unsigned usable;
    bool pinned, issued_own;
    struct error late; /* of one outside its time */
};

static int take_ca(struct net_tls *t, X509 *ca, const X509 *own, struct cas *found, struct error *err)
{
    char who[PKI_WHO_SIZE];
    uint8_t print[PKI_FINGERPRINT_SIZE];
    if (X509_check_ca(ca) == 0) {
        pki_x509_describe(ca, who);
        return error_set(err, ERR_INVALID, "the certificate of %s is given as the cluster's CA, but is none", who);
    }
    if (net_tls_check_time(ca, &found->late) != 0) {
        return 0; /* another one may be of use */
    }
    bool issuer = own != NULL && !found->issued_own && X509_verify((X509 *)own, X509_get0_pubkey(ca)) == 1;
    if (X509_STORE_add_cert(SSL_CTX_get_cert_store(t->ctx), ca) != 1 || SSL_CTX_add_client_CA(t->ctx, ca) != 1 ||
        (issuer && SSL_CTX_add1_chain_cert(t->ctx, ca) != 1)) {
        return error_set(err, ERR_INTERNAL, "the cluster's CA: %s", pki_openssl_text((char[160]){0}));
    }
    pki_x509_fingerprint(ca, print);
    found->usable++;
    found->issued_own = found->issued_own || issuer;
    found->pinned = found->pinned || CRYPTO_memcmp(print, t->pin, sizeof print) == 0;
    return 0;
}

/* The certificates of the text, one behind the other. */
static int take_cas(struct net_tls *t, const char *ca_pem, const X509 *own, struct cas *found, struct error *err)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    unsigned count = 0;
    for (const char *p = ca_pem; p != NULL; count++) {
        if (count == NET_CAS_MAX) {
            return error_set(err, ERR_INVALID, "more than %u CAs are given", NET_CAS_MAX);
        }
        X509 *ca = pki_x509_parse(p, err);
        if (ca == NULL) {
            error_wrap(err, "the cluster's CA");
            return ERR_INVALID;
        }
        int rv = take_ca(t, ca, own, found, err);
        X509_free(ca);
        if (rv != 0) {
            return rv;
        }
        p = strstr(p, begin); /* the one that was read */
        p = p == NULL ? NULL : strstr(p + 1, begin);
    }
    return 0;
}

static int load_ca(struct net_tls *t, const char *ca_pem, const X509 *own, struct error *err)
{
    struct cas found = {0};
    char who[PKI_WHO_SIZE];
    int rv = take_cas(t, ca_pem, own, &found, err);
    if (rv != 0) {
        /* said */
    } else if (found.usable == 0) {
        rv = error_set(err, ERR_INVALID, "%s", found.late.message);
    } else if (t->has_pin && !found.pinned) {
        rv = error_set(err, ERR_INVALID, "the cluster's CA does not have the fingerprint given");
    } else if (own != NULL && !found.issued_own) {
        pki_x509_describe(own, who);
        rv = error_set(err, ERR_INVALID, "certificate of %s is not signed by the CA given with it", who);
    }
    ERR_clear_error();
    return rv;
}

static int load_own(struct net_tls *t, const char *cert_pem, const char *key_pem, bool lenient, struct error *err)
{
    t->cert = pki_x509_parse(cert_pem, err);
    EVP_PKEY *key = t->cert == NULL ? NULL : pki_key_parse(key_pem, err);
    if (key == NULL) {
        return ERR_INVALID;
    }
    int rv = 0;
    char who[PKI_WHO_SIZE];
    struct error why = {0};
    pki_x509_describe(t->cert, who);
    if (X509_check_private_key(t->cert, key) != 1) {
        rv = error_set(err, ERR_INVALID, "the key does not belong to the certificate of %s", who);
    } else if (!lenient && net_tls_check_time(t->cert, &why) != 0) {
        rv = error_set(err, ERR_INVALID, "%s", why.message);
    } else if (SSL_CTX_use_certificate(t->ctx, t->cert) != 1 || SSL_CTX_use_PrivateKey(t->ctx, key) != 1) {
        rv = error_set(err, ERR_INVALID, "certificate of %s: %s", who, pki_openssl_text((char[160]){0}));
    }
    ERR_clear_error();
    EVP_PKEY_free(key);
    return rv;
}

/* One context for both directions. Sessions are never resumed: connections live long, and tickets would cost memory. */
static bool set_up_context(struct net_tls *t)
{
    t->ctx = SSL_CTX_new(TLS_method());
    t->bio_method = bio_method_new();
    if (t->ctx == NULL || t->bio_method == NULL || SSL_CTX_set_min_proto_version(t->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(t->ctx, CIPHERS) != 1 || SSL_CTX_set1_groups_list(t->ctx, "X25519:P-256") != 1 ||
        SSL_CTX_set_num_tickets(t->ctx, 0) != 1) {
        return false;
    }
    SSL_CTX_set_session_cache_mode(t->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                 SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_max_cert_list(t->ctx, PEER_CHAIN_MAX);
    SSL_CTX_set_alpn_select_cb(t->ctx, select_alpn, NULL);
    /* A client must check the server; a server asks its client for a certificate, but joiners have none. */
    SSL_CTX_set_verify(t->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(t->ctx, verify_chain, t);
    return true;
}

static int make(const char *ca_pem, const char *cert_pem, const char *key_pem, const char *pin_fingerprint,
                bool lenient, struct net_tls **out, struct error *err)
{
    assert(out != NULL && (cert_pem == NULL) == (key_pem == NULL));
    *out = NULL;
    if (ca_pem == NULL && pin_fingerprint == NULL) {
        return error_set(err, ERR_INVALID, "neither the cluster's CA nor its fingerprint is given: whom to trust?");
    }
    struct net_tls *t = xcalloc(1, sizeof *t);
    t->refs = 1;
    strmap_init(&t->known);
    uv_mutex_init(&t->known_lock);
    int rv = 0;
    ERR_clear_error();
    if (pin_fingerprint != NULL) {
        t->has_pin = pki_fingerprint_parse(pin_fingerprint, t->pin);
        rv = t->has_pin
                 ? 0
                 : error_set(err, ERR_INVALID, "a CA's fingerprint has 32 hex digits, not \"%s\"", pin_fingerprint);
    }
    if (rv == 0 && !set_up_context(t)) {
        rv = error_set(err, ERR_INTERNAL, "set up TLS: %s", pki_openssl_text((char[160]){0}));
    }
    if (rv == 0 && cert_pem != NULL) {
        rv = load_own(t, cert_pem, key_pem, lenient, err);
    }
    if (rv == 0 && ca_pem != NULL) {
        rv = load_ca(t, ca_pem, t->cert, err);
        t->has_pin = false; /* checked once and for all */
    }
    if (rv != 0) {
        net_tls_unref(t);
        return rv;
    }
    *out = t;
    return 0;
}

int net_tls_new(const char *ca_pem, const char *cert_pem, const char *key_pem, const char *pin_fingerprint,
                struct net_tls **out, struct error *err)
{
    return make(ca_pem, cert_pem, key_pem, pin_fingerprint, false, out, err);
}

int net_tls_new_lenient(const char *ca_pem, const char *cert_pem, const char *key_pem, struct net_tls **out,
                        struct error *err)
{
    return make(ca_pem, cert_pem, key_pem, NULL, true, out, err);
}

void net_tls_set_refused(struct net_tls *t, struct str refused)
{
    free(t->refused);
    t->refused = refused.n == 0 || !pki_refused_valid(refused) ? NULL : xstrndup(refused.p, refused.n);
}

void net_tls_set_late_masters(struct net_tls *t)
{
    t->late_masters = true;
}

void net_tls_set_grace(struct net_tls *t, int64_t grace_s)
{
    assert(grace_s >= 0);
    t->grace_s = grace_s;
}

struct net_tls *net_tls_ref(struct net_tls *t)
{
    assert(t->refs > 0);
    t->refs++;
    return t;
}

void net_tls_unref(struct net_tls *t)
{
    if (t == NULL) {
        return;
    }
    assert(t->refs > 0);
    if (--t->refs == 0) {
        SSL_CTX_free(t->ctx);
        BIO_meth_free(t->bio_method);
        X509_free(t->cert);
        free(t->refused);
        free(t->read_bytes);
        assert(t->known.count == 0); /* whose connections have references on t */
        strmap_close(&t->known);
        uv_mutex_destroy(&t->known_lock);
        free(t);
    }
}
