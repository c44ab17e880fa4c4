/* SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * Atomics of 16 bytes, which are refused by name: by the compiler's library where it calls that, by the model otherwise.
 */
#include <stdint.h>

static _Alignas(16) __int128 wide;

int wide_exchange(void) { return __sync_bool_compare_and_swap(&wide, 0, 1); }
