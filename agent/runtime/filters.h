/* Filters of system calls, translated once. crun translates a profile into a program of the kernel's for each container
 * anew, which takes longer than all the rest of a start; a few profiles serve all containers of a node. So the program
 * that crun has made for the first container is kept and given to crun with the next one (its annotation
 * run.oci.seccomp_bpf_data). The profile stays in the configuration: a crun that does not know the annotation
 * translates it as before. Profiles are compared as texts. Loop thread only. */
#ifndef AGENT_RUNTIME_FILTERS_H
#define AGENT_RUNTIME_FILTERS_H

#include "base/str.h"

#define FILTERS_MAX         16u          /* profiles; the oldest makes room */
#define FILTERS_PROFILE_MAX (256u << 10) /* a larger profile is translated each time */
#define FILTERS_PROGRAM_MAX (4096u * 8u) /* the kernel takes no larger one (BPF_MAXINSNS) */

struct filters;
struct filters *filters_new(void);
void filters_free(struct filters *f);
/* The program for this profile (JSON) in base64, borrowed until the next change; NULL: none is kept. */
const char *filters_find(const struct filters *f, struct str profile);
/* crun has made `program` (the file seccomp.bpf) out of this profile. What can be no program is not kept. */
void filters_keep(struct filters *f, struct str profile, struct str program);

#endif
