/* bench/tls_reference.h - what plain TLS reaches between two processes of this machine.
 *
 * The measure that transfers are held against: a blocking SSL_write() / SSL_read() pump with
 * nothing around it, in the same run, on the same machine. TLS 1.3, AES-128-GCM, Ed25519
 * certificates, 64 KiB per call, over TCP on loopback. It shares no code with src/os.
 *
 * Memory:  OpenSSL's.
 * Threads: call it before the process has any but the first: it forks.
 * Errors:  false, with a line on stderr.
 */
#ifndef BENCH_TLS_REFERENCE_H
#define BENCH_TLS_REFERENCE_H

#include <stdbool.h>
#include <stdint.h>

/* Pumps `bytes` from a child process to this one; answers the rate in bytes per second. */
bool tls_reference_measure(uint64_t bytes, double *out_bytes_per_second);

#endif
