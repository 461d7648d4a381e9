#include "textflag.h"

// Eight words of the block, at offset o, times their two rows of weights.
// Y0 and Y1 are the sums so far, Y2 to Y4 are used.
#define WORDS(o) \
	VMOVDQU o(SI), Y2; \
	VPMULLD (2*o)(DX), Y2, Y3; \
	VPMULLD (2*o+32)(DX), Y2, Y4; \
	VPADDD Y3, Y0, Y0; \
	VPADDD Y4, Y1, Y1

// func sumBlocksAVX2(sum *Checksum, p *byte, blocks int, w *blockWeights)
TEXT ·sumBlocksAVX2(SB), NOSPLIT, $0-32
	MOVQ sum+0(FP), DI
	MOVQ p+8(FP), SI
	MOVQ blocks+16(FP), CX
	MOVQ w+24(FP), DX
	VPBROADCASTD 1024(DX), Y8  // a   of M^64 = [a b]
	VPBROADCASTD 1028(DX), Y9  // b             [b c]
	VPBROADCASTD 1032(DX), Y10 // c
	VPXOR Y6, Y6, Y6           // s0, in eight parts
	VPXOR Y7, Y7, Y7           // s1

block:
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	WORDS(0)
	WORDS(32)
	WORDS(64)
	WORDS(96)
	WORDS(128)
	WORDS(160)
	WORDS(192)
	WORDS(224)
	WORDS(256)
	WORDS(288)
	WORDS(320)
	WORDS(352)
	WORDS(384)
	WORDS(416)
	WORDS(448)
	WORDS(480)

	// What was there before moves on by the block: s = M^64 * s + own.
	VPMULLD Y8, Y6, Y2
	VPMULLD Y9, Y7, Y3
	VPMULLD Y9, Y6, Y4
	VPMULLD Y10, Y7, Y5
	VPADDD  Y2, Y0, Y0
	VPADDD  Y4, Y1, Y1
	VPADDD  Y3, Y0, Y6
	VPADDD  Y5, Y1, Y7
	ADDQ    $512, SI
	DECQ    CX
	JNZ     block

	// The eight parts of each together.
	VEXTRACTI128 $1, Y6, X0
	VEXTRACTI128 $1, Y7, X1
	VPADDD  X0, X6, X6
	VPADDD  X1, X7, X7
	VPHADDD X7, X6, X6 // s0 s0 s1 s1
	VPHADDD X6, X6, X6 // s0 s1 s0 s1
	VMOVQ   X6, (DI)
	VZEROUPPER
	RET
