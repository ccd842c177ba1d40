package guest

import (
	"bytes"
	"context"
	"fmt"

	"github.com/kingly-os/go-kernel/kernel/abi"
)

// pingBytesMax is what MessagePing may carry.
const pingBytesMax = 64

// Ping sends bytes and expects them back.
func (c *Client) Ping(ctx context.Context, payload []byte) error {
	if len(payload) > pingBytesMax {
		return fmt.Errorf("ping of %d bytes, at most %d", len(payload), pingBytesMax)
	}
	back, err := c.Call(ctx, abi.MessagePing, abi.MessagePong, payload)
	if err != nil {
		return err
	}
	if !bytes.Equal(back, payload) {
		return fmt.Errorf("ping came back changed: sent %x, got %x", payload, back)
	}
	return nil
}

// Stats asks for the guest's counters.
func (c *Client) Stats(ctx context.Context) (abi.Stats, error) {
	payload, err := c.Call(ctx, abi.MessageStats, abi.MessageStatsReply, nil)
	if err != nil {
		return abi.Stats{}, err
	}
	var stats abi.Stats
	if code := stats.Get(payload); code != abi.OK {
		return abi.Stats{}, fmt.Errorf("stats reply: %v", code)
	}
	return stats, nil
}

// Install sends a program in wire format through every stage of the guest's
// pipeline. A refusal is a reply with a Code, not an error.
func (c *Client) Install(ctx context.Context, hook abi.HookID, flags uint32, program []byte, expected abi.Digest) (abi.InstallReply, error) {
	if len(program)%8 != 0 || len(program) > 8*abi.ProgramInstructionsMax {
		return abi.InstallReply{}, fmt.Errorf("program of %d bytes: want a multiple of 8, at most %d",
			len(program), 8*abi.ProgramInstructionsMax)
	}
	request := abi.InstallRequest{Hook: uint32(hook), Flags: flags, ProgramBytes: uint32(len(program)), Expected: expected}
	payload := make([]byte, abi.InstallRequestBytes, abi.InstallRequestBytes+len(program))
	request.Put(payload)
	return c.install(ctx, abi.MessageInstall, append(payload, program...))
}

// Rollback makes the previous version of a hook's program run again.
func (c *Client) Rollback(ctx context.Context, hook abi.HookID) (abi.InstallReply, error) {
	request := abi.RollbackRequest{Hook: uint32(hook)}
	payload := make([]byte, abi.RollbackRequestBytes)
	request.Put(payload)
	return c.install(ctx, abi.MessageRollback, payload)
}

// Traffic starts the synthetic source of a live guest, or stops it when
// PacketCount is 0.
func (c *Client) Traffic(ctx context.Context, request abi.TrafficRequest) (abi.InstallReply, error) {
	payload := make([]byte, abi.TrafficRequestBytes)
	request.Put(payload)
	return c.install(ctx, abi.MessageTraffic, payload)
}

// Plant makes a fault happen on purpose.
func (c *Client) Plant(ctx context.Context, request abi.PlantRequest) (abi.InstallReply, error) {
	payload := make([]byte, abi.PlantRequestBytes)
	request.Put(payload)
	return c.install(ctx, abi.MessagePlant, payload)
}

// Trace asks for packet events; they arrive on the streams.
func (c *Client) Trace() error { return c.Send(abi.MessageTrace, 0, nil) }

// PowerOff asks the guest to end; the instance's Done says when it has.
func (c *Client) PowerOff(ctx context.Context) error {
	_, err := c.Call(ctx, abi.MessagePowerOff, abi.MessagePong, nil)
	return err
}

func (c *Client) install(ctx context.Context, kind uint16, payload []byte) (abi.InstallReply, error) {
	back, err := c.Call(ctx, kind, abi.MessageInstallReply, payload)
	if err != nil {
		return abi.InstallReply{}, err
	}
	var reply abi.InstallReply
	if code := reply.Get(back); code != abi.OK {
		return abi.InstallReply{}, fmt.Errorf("install reply: %v", code)
	}
	return reply, nil
}
