package guest

// WriteRaw sends bytes as they are, for suites that say what no client would.
func (c *Client) WriteRaw(bytes []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	_, err := c.stream.Write(bytes)
	return err
}
