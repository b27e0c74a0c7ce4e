/* What registry.c asks of a host over HTTP: transfers, several at a time, with logins, tokens and repeats. Blocking,
 * one thread. */
#ifndef AGENT_IMAGE_REGISTRY_HTTP_H
#define AGENT_IMAGE_REGISTRY_HTTP_H

#include "agent/image/registry.h"
#include "agent/image/registry_answer.h"
#include "base/buf.h"

#include <curl/curl.h>
#include <openssl/evp.h>

#define REGISTRY_SMALL_S     120L /* for a manifest, a config, a token: in all */
#define REGISTRY_HEADERS_MAX (256u << 10)
#define REGISTRY_WORDS_MAX   (256u << 10) /* of an answer that says what is wrong: not read, but waited for */
#define REGISTRY_PROGRESS    (1u << 20)   /* with so much more, a transfer that breaks may break as often again */

/* One host that is asked about one image. */
struct registry_session {
    char base[300]; /* "https://registry.example:5000" */
    const char *host, *name;
    const struct registry_host *how;
    const struct registry_login *login; /* NULL: nobody in particular */
    const atomic_bool *cancel;
    long patience_s;              /* with less than 1 kB/s */
    _Atomic uint64_t *done_bytes; /* or NULL */
    char *token;                  /* secret */
    bool basic;                   /* the login itself is asked for */
    CURLM *multi;
};
int registry_session_open(struct registry_session *s, struct error *err);
void registry_session_close(struct registry_session *s);

struct registry_transfer {
    char path[700];     /* behind the base: "/v2/NAME/blobs/sha256:..." */
    const char *accept; /* NULL = anything */
    /* Either into memory, or into a file of known size and digest. */
    struct buf *memory;
    size_t memory_max;
    int fd;
    uint64_t size_bytes;
    const char *hex;

    /* Its own, zero before. */
    long status;
    struct registry_challenge challenge;
    size_t headers_bytes, words_bytes;
    bool cut; /* its words had no end */
    uint64_t at, broke_at;
    EVP_MD_CTX *md;
    unsigned tries;
    bool has_asked; /* for a token */
    CURL *easy;
    struct curl_slist *headers;
    char why[CURL_ERROR_SIZE];
    int failed; /* an error of our own while bytes came */
    int failed_errno;
    uint64_t counted;
    struct registry_session *session;
};
/* All of them, `parallel` at a time; the first error ends the rest. The error says what could not be got ("what"). */
int registry_transfer_all(struct registry_session *s, struct registry_transfer *list, unsigned count, unsigned parallel,
                          const char *what, struct error *err);

#endif
