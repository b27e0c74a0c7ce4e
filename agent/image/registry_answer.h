/* What a registry says about who may ask, as plain text: challenges and tokens. Pure; the registry is a stranger. */
#ifndef AGENT_IMAGE_REGISTRY_ANSWER_H
#define AGENT_IMAGE_REGISTRY_ANSWER_H

#include "base/err.h"
#include "base/str.h"

#define REGISTRY_PARAMETER_MAX 512u
#define REGISTRY_TOKEN_MAX     (16u << 10)

/* RFC 7235, RFC 6750. */
enum registry_scheme { REGISTRY_SCHEME_NONE, REGISTRY_SCHEME_BASIC, REGISTRY_SCHEME_BEARER };
struct registry_challenge {
    enum registry_scheme scheme;
    char realm[REGISTRY_PARAMETER_MAX], service[REGISTRY_PARAMETER_MAX]; /* "" = not told, or too long */
};
/* The value of a WWW-Authenticate header: the first scheme in it. NONE: one that we do not speak. */
void registry_challenge_read(struct str header, struct registry_challenge *out);

/* Where a token for pulling from the repository `name` is asked for; NULL: the realm is no URL of http or https, or
 * holds a login. What scope the registry names does not matter: a token is asked for what is pulled, and no more. Owned
 * by the caller. */
char *registry_token_url(const struct registry_challenge *c, const char *name);

/* The token in the answer of a token server, a JSON object; owned by the caller, secret. ERR_PROTOCOL; no error has any
 * of the answer in it. */
int registry_token_read(struct str json, char **out, struct error *err);

#endif
