/* What a registry says, read: challenges, tokens, manifests. Pure; the registry is a stranger. */
#ifndef AGENT_IMAGE_REGISTRY_ANSWER_H
#define AGENT_IMAGE_REGISTRY_ANSWER_H

#include "agent/image/image_int.h"
#include "proto/model/value.h"

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

/* ---- Manifests ---- */

#define REGISTRY_ENTRIES_MAX 256u /* of a list of platforms are looked at */

/* Of a list of platforms the digest for linux on `arch`: "sha256:HEX", borrowed from the list. */
bool registry_platform_choose(const struct value *list, const char *arch, struct str *digest);

struct registry_layer {
    char hex[IMAGE_HEX_SIZE], diff_hex[IMAGE_HEX_SIZE]; /* diff_hex: "" if the config has none that can be read */
    uint64_t size_bytes;
};
/* The layers of a manifest and its config, the lowest first; the list lies in the arena. ERR_PROTOCOL: they do not
 * agree, or lack what each must have. ERR_TOO_LARGE: REGISTRY_LAYER_MAX, REGISTRY_IMAGE_MAX. */
int registry_layers_read(struct arena *a, const struct value *manifest, const struct value *config,
                         struct registry_layer **out, unsigned *count, struct error *err);

#endif
