OPENQASM 3.0;
include "stdgates.inc";
// One qubit in an equal superposition: one random bit a shot.
qubit[1] q;
bit[1] c;
h q[0];
c[0] = measure q[0];
